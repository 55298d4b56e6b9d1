// What benchmarks share: the machine's description, quantiles, a table for docs/benchmarks.md.

import { cpus, release, totalmem } from "node:os";

/** Prints what a reader must know to compare figures. */
export function machine(): void {
  const model = cpus()[0]?.model.trim() ?? "unknown CPU";
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  write(`${cpus().length} x ${model}, ${gib} GiB, Linux ${release()}, Bun ${Bun.version}`);
}

/** The value below which `q` of the values lie; nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): void {
  const text = rows.map((row) => row.map(cell));
  write(`| ${head.join(" | ")} |`);
  write(`|${head.map(() => "---|").join("")}`);
  for (const row of text) write(`| ${row.join(" | ")} |`);
}

function cell(value: string | number): string {
  if (typeof value === "string" || Number.isInteger(value)) return String(value);
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

export function write(line: string): void {
  process.stdout.write(`${line}\n`);
}
