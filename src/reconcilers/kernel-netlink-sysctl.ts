// Values under /proc/sys. Files below /proc/sys/net show the namespace of whoever opens them, so
// they are opened inside the kernel's namespace. A removal does nothing: what a value was before us
// is not known, and switching forwarding off could break somebody else.

import { readFileSync, writeFileSync } from "node:fs";
import { withNetns } from "../ffi/netns.ts";
import { DONE, failure, refusal } from "./kernel-netlink-outcome.ts";
import type { Sysctl } from "./kernel-state.ts";
import type { OpOutcome } from "./op.ts";

export function observeSysctls(netns: string | null, paths: readonly string[]): Sysctl[] {
  return withNetns(netns, () => {
    const found: Sysctl[] = [];
    for (const path of paths) {
      const value = read(path);
      if (value !== null) found.push({ path, value });
    }
    return found;
  });
}

export function setSysctl(netns: string | null, { path, value }: Sysctl): OpOutcome {
  try {
    withNetns(netns, () => writeFileSync(fileOf(path), value));
    return DONE;
  } catch (error) {
    const errno = errnoOf(error);
    return errno === null ? refusal(`${path}: ${error}`) : failure(errno, `/proc/sys/${path}`);
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(fileOf(path), "utf8").trim();
  } catch (error) {
    // Missing: the module is not loaded or the device is not there.
    if (errnoOf(error) === 2) return null;
    throw error;
  }
}

function fileOf(path: string): string {
  if (path.split("/").some((part) => part === "" || part === "." || part === "..")) {
    throw new RangeError(`${path} is not a path relative to /proc/sys`);
  }
  return `/proc/sys/${path}`;
}

function errnoOf(error: unknown): number | null {
  if (!(error instanceof Error) || !("errno" in error)) return null;
  return typeof error.errno === "number" ? Math.abs(error.errno) : null;
}
