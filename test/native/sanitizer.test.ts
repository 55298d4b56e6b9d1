// The packet path built with ASan and UBSan: its pure tests, the fuzz corpus with changes, what one
// process leaves in the kernel for the next, and the answering thread.

import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { requireRoot, run } from "../support/netns.ts";
import { nativeTool } from "../support/tunnel-build.ts";

const ROOT = join(import.meta.dir, "../..");
/** For one test of the file, several times slower than without sanitizers. */
const TEST_MS = 60_000;

setDefaultTimeout(5 * TEST_MS);

/** Runs a test file on the sanitized library and expects no fault and some passes. */
function passes(file: string, variable: string): void {
  const library = nativeTool("libheddle-asan.so");
  const child = Bun.spawnSync([process.execPath, "test", `--timeout=${TEST_MS}`, file], {
    cwd: ROOT,
    env: {
      ...process.env,
      [variable]: library,
      LD_PRELOAD: run(["cc", "-print-file-name=libasan.so"]).trim(),
      // Bun's own memory is not freed at exit
      ASAN_OPTIONS: "detect_leaks=0",
    },
    stderr: "pipe",
  });
  const text = child.stderr.toString();
  expect({
    code: child.exitCode,
    failed: text.match(/^\(fail\) .*/gm) ?? [],
    fault: /ERROR: .*|runtime error: .*/.exec(text)?.[0],
  }).toEqual({ code: 0, failed: [], fault: undefined });
  expect(text).toMatch(/[1-9]\d* pass/);
}

test("the pure tests pass under the sanitizers", () => {
  passes("./test/native/pure.test.ts", "HEDDLE_NATIVE_TEST");
  passes("./test/native/answers.test.ts", "HEDDLE_NATIVE_TEST");
});

test.skipIf(!requireRoot("the packet path under the sanitizers"))(
  "programs are left, adopted and replaced under the sanitizers",
  () => passes("./test/native/tunnel-resident.test.ts", "HEDDLE_NATIVE"),
);

test.skipIf(!requireRoot("the answering thread under the sanitizers"))(
  "the thread that answers for entries on demand keeps its contract under the sanitizers",
  () => passes("./test/reconcilers/kernel-miss-contract.test.ts", "HEDDLE_NATIVE"),
);

// Another day's changes need only another seed: `native/build/replay -m N SEED FILE…`.
const SEED = "20260";

test("no input of the corpus, changed in 2000 ways, is a fault", () => {
  const corpus = join(ROOT, "native/fuzz/corpus");
  const files = readdirSync(corpus).map((name) => join(corpus, name));
  const text = run([nativeTool("replay"), "-m", "2000", SEED, ...files]);
  expect(Number.parseInt(text, 10)).toBe(files.length * 2001);
});
