// Runs the tests tier by tier and says what happened: per tier a line, at the end what could not be
// checked on this machine, what was left behind, and one line with the totals. It never hides a
// failure: a tier that crashes, hangs or skips a file fails, and so does a run without any test.
//
//   npm test                              everything
//   npm test -- unit netns                tiers
//   npm test -- test/events/fold.test.ts  files, by any part of their path
//   npm test -- unit -t "gap"             what follows the first option goes to `bun test`

import { join } from "node:path";
import { Stopwatch } from "../test/support/stopwatch.ts";
import { endProcesses, leftovers, namespaces, noteOthers, RUN_VARIABLE } from "./test-leftovers.ts";
import { closingLine, type Tally, tally } from "./test-summary.ts";
import { select, TIERS, type Tier } from "./test-tiers.ts";

const ROOT = join(import.meta.dir, "..");
const RUN = `${process.pid}-${Math.round(performance.timeOrigin)}`;
const LEFTOVER_GRACE_MS = 3_000;
const OUTPUT_GRACE_MS = 1_000;
const LOOK_MS = 200;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Passes the output on while it comes, and keeps it. */
async function tee(
  stream: ReadableStream<Uint8Array>,
  to: NodeJS.WriteStream,
  kept: string[],
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    to.write(chunk);
    kept.push(decoder.decode(chunk, { stream: true }));
  }
}

/** False if the time is up first. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const first = Promise.race([promise.then(() => true), late.promise]);
  return await first.finally(() => clearTimeout(timer));
}

/** Adds to `others` the namespaces that other runs make meanwhile. */
async function runTier(
  tier: Tier,
  files: string[],
  options: string[],
  others: Set<string>,
): Promise<Tally> {
  const args = ["test", "--only-failures", `--timeout=${tier.testTimeoutMs}`, ...options];
  if (tier.workers > 1 && files.length > 1) args.push(`--parallel=${tier.workers}`);
  const child = Bun.spawn([process.execPath, ...args, ...files.map((file) => `./${file}`)], {
    cwd: ROOT,
    env: { ...process.env, [RUN_VARIABLE]: RUN },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let timedOut = false;
  const watch = new Stopwatch();
  const timer = setInterval(() => {
    noteOthers(RUN, others);
    if (watch.freeMs() < tier.tierTimeoutMs) return;
    timedOut = true;
    endProcesses(RUN);
  }, LOOK_MS);
  const stdout: string[] = [];
  const stderr: string[] = [];
  const output = Promise.all([
    tee(child.stdout, process.stdout, stdout),
    tee(child.stderr, process.stderr, stderr),
  ]);
  const exitCode = await child.exited;
  clearInterval(timer);
  // A process that outlived its test may hold the pipe open for ever; it is named below.
  await within(output, OUTPUT_GRACE_MS);
  const text = `${stdout.join("")}\n${stderr.join("")}`;
  return tally({ output: text, exitCode, timedOut, files: files.length });
}

/** Names what a tier left behind and ends its processes, so that the next tier is not disturbed. */
async function leftBehind(before: ReadonlySet<string>): Promise<string[]> {
  const found = await leftovers(RUN, before, LEFTOVER_GRACE_MS);
  endProcesses(RUN);
  return found;
}

/** The others are for a machine of their own: scripts/test-vm.ts. */
const isHere = (file: string): boolean => !file.startsWith("test/vm/");

async function main(words: string[]): Promise<number> {
  const all = [...new Bun.Glob("test/**/*.test.ts").scanSync(ROOT)].filter(isHere).sort();
  const { files, options, unknown } = select(words, all);
  if (unknown.length > 0) {
    say(`test: no tier and no file matches ${unknown.join(", ")}`);
    return 2;
  }
  const total: Tally = { passed: 0, failed: 0, skipped: 0, problems: [], reasons: [] };
  const lines: string[] = [];
  for (const tier of TIERS) {
    const own = files.get(tier.name);
    if (own === undefined) continue;
    say(`\n== ${tier.name}: ${own.length} files`);
    const start = performance.now();
    const before = namespaces();
    const result = await runTier(tier, own, options, before);
    const left = await leftBehind(before);
    result.problems.push(...left.map((found) => `left behind ${found}`));
    result.failed += left.length;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const why = result.problems.map((problem) => `; ${problem}`).join("");
    lines.push(`${tier.name.padEnd(6)} ${closingLine(result)} in ${seconds} s${why}`);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    total.reasons.push(...result.reasons);
  }
  say("");
  for (const line of lines) say(line);
  for (const reason of new Set(total.reasons)) say(`NOT CHECKED ON THIS MACHINE: ${reason}`);
  if (total.passed + total.failed === 0) say("test: no test ran");
  say(closingLine(total));
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
