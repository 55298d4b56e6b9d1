// The number of open files, which is asked for ten times a second.

import { afterEach, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { countFiles, openFiles } from "../../src/http/open-files.ts";

const MANY = 800;
const CALLS = 200;

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

function openMany(): void {
  for (let i = 0; i < MANY; i++) open.push(openSync("/dev/null", "r"));
}

test("is what a list of them says, at any time", () => {
  expect(openFiles()).toBe(countFiles());
  openMany();
  expect(openFiles()).toBe(countFiles());
  expect(openFiles()).toBeGreaterThan(MANY);
});

test("costs less than a tenth of a list", () => {
  const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".");
  if (Number(major) < 6 || (Number(major) === 6 && Number(minor) < 2)) {
    console.log("SKIPPED: before Linux 6.2 the kernel does not tell the number");
    return;
  }
  openMany();
  const [asking, listing] = [cpuUs(openFiles), cpuUs(countFiles)];
  expect(asking).toBeLessThan(listing / 10);
});

function cpuUs(count: () => number): number {
  const before = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) count();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
