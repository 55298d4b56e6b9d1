// npm run sim -- SEED [--steps N]: replays one seed and prints what happens, a line per transition.
// With --steps only the first N faults strike, to find the one that matters. Several seeds as
// FROM..TO print a line per seed that fails.

import { type RunResult, runSeed } from "./run.ts";

const USAGE = "usage: npm run sim -- SEED|FROM..TO [--steps N]";

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function numberFrom(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

function report(result: RunResult): void {
  if (result.rule !== null) say(`seed ${result.seed}: ${result.message}`);
}

async function main(args: readonly string[]): Promise<number> {
  const option = args.indexOf("--steps");
  const faults = option < 0 ? null : numberFrom(args[option + 1]);
  const [from, to] = (args[0] ?? "").split("..").map(numberFrom);
  if (from === null || from === undefined || to === null || (option >= 0 && faults === null)) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const limit = faults === null ? {} : { faults };
  if (to === undefined) {
    const result = await runSeed({ seed: from, onLine: say, ...limit });
    report(result);
    return result.rule === null ? 0 : 1;
  }
  let failed = 0;
  for (let seed = from; seed <= to; seed++) {
    const result = await runSeed({ seed, ...limit });
    report(result);
    if (result.rule !== null) failed++;
  }
  say(`${to - from + 1} seeds, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
