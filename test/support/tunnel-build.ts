// Builds the packet path's test libraries when their sources are newer, once per test file.

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./netns.ts";

const NATIVE = join(import.meta.dir, "../../native");

/** The library with the pure parts exported; HEDDLE_NATIVE_TEST names another build of it. */
export function nativeTestLibrary(): string {
  const chosen = process.env.HEDDLE_NATIVE_TEST;
  if (chosen !== undefined) return chosen;
  make("build/libheddle-test.so");
  return join(NATIVE, "build/libheddle-test.so");
}

const made = new Set<string>();

export function make(target: string): void {
  if (made.has(target)) return;
  // Test files run in parallel: one compiles, who wants the same waits for the lock. Whoever wants
  // something small does not wait for the sanitizers' libraries, which take seconds of a free core.
  const lock = join(NATIVE, `${target}.lock`);
  mkdirSync(dirname(lock), { recursive: true });
  run(["flock", lock, "make", "-s", "-C", NATIVE, target]);
  made.add(target);
}

/** Path of a small program of the packet path's tests, built first. */
export function nativeTool(name: string): string {
  make(`build/${name}`);
  return join(NATIVE, "build", name);
}
