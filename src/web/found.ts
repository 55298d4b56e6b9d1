// What the chosen host itself found in its kernel, asked of it again and again while it is looked
// at. Only at the live end, and only of a host that is heard: of the past nobody knows it.

import { computed, effect, signal } from "@preact/signals";
import { getJson } from "./api.ts";
import { createLatest } from "./latest.ts";
import { chosenHost, live, rows } from "./store.ts";

interface Drift {
  readonly noun: string;
  readonly problem: string;
  readonly found: string | null;
  readonly wanted: string | null;
}

/** As `GET /v1/hosts/{node}/found` answers. */
export interface Found {
  readonly node: string;
  readonly planned: number | null;
  readonly asWanted: boolean;
  readonly differences: readonly (Drift & {
    readonly command: string;
    readonly error: string | null;
  })[];
  readonly differenceCount: number;
  readonly error: string | null;
  readonly failed: readonly { readonly node: string; readonly error: string }[];
  readonly healed: {
    readonly time: string | null;
    readonly count: number;
    readonly items: readonly Drift[];
  } | null;
}

const AGAIN_MS = 2000;

/** Null before the first answer. */
export const found = signal<Found | { readonly trouble: string } | null>(null);

/** Who is to be asked, or null. */
export const asked = computed(() => {
  const host = chosenHost.value;
  const row = rows.value.find(({ name }) => name === host);
  const isHeard = row !== undefined && row.applied !== null && row.health !== "silent";
  return live.value && isHeard ? row.name : null;
});

const answers = createLatest<string, Found>({
  load: (host) => getJson(`/v1/hosts/${encodeURIComponent(host)}/found`),
  onLoaded: (answer, host) => {
    if (asked.peek() === host) found.value = answer;
  },
  onFailed: (error, host) => {
    const trouble = error instanceof Error ? error.message : String(error);
    if (asked.peek() === host) found.value = { trouble };
  },
});

effect(() => {
  const host = asked.value;
  found.value = null;
  if (host === null) return;
  answers.want(host);
  const timer = setInterval(() => {
    if (!document.hidden) answers.want(host);
  }, AGAIN_MS);
  return () => clearInterval(timer);
});
