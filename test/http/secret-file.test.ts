// A secret's file, and another put in its place while it is read.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, renameSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSecretFile } from "../../src/http/secret-file.ts";

/** Of which the first few show it, when the mode is another file's than the text. */
const ATTEMPTS = 300;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hd-secret-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("the text is that of the file whose mode was looked at", async () => {
  const path = join(directory, "key");
  const put = (text: string, mode: number): void => {
    writeFileSync(`${path}.new`, text);
    chmodSync(`${path}.new`, mode);
    renameSync(`${path}.new`, path);
  };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    put("owner's", 0o600);
    const reading = readSecretFile(path);
    if (attempt % 2 === 0) await new Promise(setImmediate);
    put("everybody's", 0o644);
    const read = await reading;
    expect(read.ok ? read.text : read.reason).not.toBe("everybody's");
  }
});
