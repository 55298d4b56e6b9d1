// How many files this process has open, connections among them, and how many it may have before
// there are none left for the log, for webhooks and for whatever else it opens.

import { readdirSync, readFileSync, statSync } from "node:fs";

/** Five thousand streams (routes-stream.ts), and others; some KiB each. */
const FILES_MAX = 8000;
/** Of the process's own limit. */
const SHARE = 0.8;

const FILES = "/proc/self/fd";

export function openFiles(): number {
  // Since Linux 6.2 (f1f1f2569901) the kernel says how many: 3 µs, where a list of 8000 takes 7 ms.
  return statSync(FILES).size || countFiles();
}

/** As older kernels have it. */
export function countFiles(): number {
  try {
    // One of them is the list.
    return readdirSync(FILES).length - 1;
  } catch {
    return Number.POSITIVE_INFINITY; // Not even this could be opened: EMFILE.
  }
}

export function openFilesMax(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Math.min(FILES_MAX, Math.floor(Number(soft ?? FILES_MAX) * SHARE));
}
