// One stored payload per event type and version, as it stands in logs out there: decoding must
// accept every file of test/fixtures/events for ever. A file is added for a new version, never
// changed.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Draft } from "../../src/events/event.ts";

export interface Golden {
  readonly type: string;
  readonly version: number;
  readonly payload: Uint8Array;
  /** As written; of version 1 all types are still current. */
  readonly event: Draft;
}

const DIR = join(import.meta.dir, "../fixtures/events");

export function golden(): readonly Golden[] {
  return readdirSync(DIR).flatMap((version) =>
    readdirSync(join(DIR, version)).map((file) => {
      const text = readFileSync(join(DIR, version, file), "utf8").trim();
      const type = file.replace(/\.json$/, "");
      const payload = new TextEncoder().encode(text);
      return { type, version: Number(version.slice(1)), payload, event: JSON.parse(text) as Draft };
    }),
  );
}
