// Reads the closing lines of `bun test` and the lines by which a test says that it could not check
// something here. Counts are believed only together with the exit code: see `tally`.

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Tally extends Counts {
  /** What made a run fail that no test reported: a crash, a time-out, a file that did not run. */
  problems: string[];
  /** Each reason after "SKIPPED: ", once. */
  reasons: string[];
}

export interface RunOutcome {
  /** Standard output and standard error, in any order. */
  output: string;
  /** Null if it was ended by a signal or by us. */
  exitCode: number | null;
  timedOut: boolean;
  files: number;
}

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");

function count(lines: readonly string[], word: string): number {
  const pattern = new RegExp(`^ *(\\d+) ${word}s?$`);
  const line = lines.findLast((text) => pattern.test(text));
  return Number(line?.match(pattern)?.[1] ?? 0);
}

/**
 * A run that ends badly always has at least one failure, even if its summary is missing or says
 * otherwise; a test that prints a reason for not checking counts as skipped, although it passed.
 */
export function tally({ output, exitCode, timedOut, files }: RunOutcome): Tally {
  const lines = output.replaceAll(ANSI, "").split("\n");
  const said = lines.flatMap((line) => /^SKIPPED: (.+)$/.exec(line.trim())?.[1] ?? []);
  const declared = count(lines, "skip") + count(lines, "todo");
  const passed = count(lines, "pass");
  // Bun counts an error outside of any test among its failures.
  const failed = count(lines, "fail");
  const problems: string[] = [];
  const ran = Number(
    lines
      .findLast((line) => /^Ran \d+ tests? across/.test(line))
      ?.match(/across (\d+) file/)?.[1] ?? 0,
  );
  if (timedOut) problems.push("took too long and was ended");
  else if (exitCode !== 0 && failed === 0) problems.push(`ended with exit code ${exitCode}`);
  if (!timedOut && ran !== files) problems.push(`ran ${ran} of ${files} test files`);
  // A reason may belong to a declared skip; only the rest are passes that checked nothing.
  const silent = Math.min(Math.max(0, said.length - declared), passed);
  return {
    passed: passed - silent,
    failed: failed + problems.length,
    skipped: declared + silent,
    problems,
    reasons: [...new Set(said)],
  };
}

export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
