// The memory of this very process.

import { readFileSync } from "node:fs";
import { discard } from "../ffi/libc.ts";
import { cleanRanges } from "./trim.ts";

/** Drops the pages of the program's files; what is used comes back by a minor fault, 64 KiB at a
 *  time. Throws NativeError, or an error of the file system when /proc is not there. */
export function dropFilePages(): void {
  const ranges = cleanRanges(readFileSync("/proc/self/smaps", "utf8"));
  for (const { start, length } of ranges) discard(start, length);
}
