// Where the library of native/ is: built beside the sources, or put beside the program.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** Throws with the paths tried when it is not built. */
export function libraryPath(): string {
  const candidates = [
    join(import.meta.dir, "../../native/build/libheddle.so"),
    join(dirname(process.execPath), "libheddle.so"),
  ];
  const chosen = process.env.HEDDLE_NATIVE;
  if (chosen !== undefined) candidates.unshift(chosen);
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(`the native library is not built (make -C native): ${candidates.join(", ")}`);
}
