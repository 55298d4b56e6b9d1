// Runs the benchmarks one after the other, each in a process of its own so that none inherits the
// heap of another: all of bench/, or those whose names contain a word of the command line.
//
//   npm run bench -- replay

import { basename, join } from "node:path";

const ROOT = join(import.meta.dir, "..");

const words = process.argv.slice(2);
const files = [...new Bun.Glob("bench/*.ts").scanSync(ROOT)]
  .sort()
  .filter((file) => words.length === 0 || words.some((word) => basename(file).includes(word)));

if (files.length === 0) process.stderr.write(`bench: nothing matches ${words.join(", ")}\n`);
let failed = files.length === 0;
for (const file of files) {
  process.stdout.write(`== ${file}\n`);
  const { exitCode } = Bun.spawnSync([process.execPath, join(ROOT, file)], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (exitCode !== 0) {
    process.stderr.write(`bench: ${file} ended with exit code ${exitCode}\n`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
