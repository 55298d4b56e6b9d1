// What happened, one line each: when, to whom, what. Two runs of one seed give the same lines.

export interface Trace {
  say(who: string, what: string): void;
  last(count: number): readonly string[];
  /** Over all lines, for comparing two runs. */
  digest(): string;
  readonly count: number;
}

export function createTrace(nowMs: () => number, onLine: (line: string) => void): Trace {
  const startMs = nowMs();
  const kept: string[] = [];
  const hasher = new Bun.CryptoHasher("sha256");
  let count = 0;
  return {
    say: (who, what) => {
      const seconds = ((nowMs() - startMs) / 1000).toFixed(3).padStart(8);
      const line = `${seconds} ${who.padEnd(8)} ${what}`;
      hasher.update(`${line}\n`);
      count++;
      kept.push(line);
      if (kept.length > 400) kept.splice(0, 200);
      onLine(line);
    },
    last: (number) => kept.slice(-number),
    digest: () => hasher.copy().digest("hex"),
    get count() {
      return count;
    },
  };
}
