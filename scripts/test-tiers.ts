// What a test run consists of: the tiers, which test file belongs to which, and what the words on
// the command line select. Pure: it is given the list of files.

export interface Tier {
  name: string;
  /** Beginnings of paths under test/ that belong here; unit takes whatever no other tier claims. */
  paths: readonly string[];
  /**
   * For one test that says nothing else, milliseconds: the end of one that hangs. What it waits for
   * has limits of its own, in time that the machine had.
   */
  testTimeoutMs: number;
  /** For the tier as a whole, in time that the machine had; alone all take half of it. */
  tierTimeoutMs: number;
  /** Processes side by side, each with one file at a time. */
  workers: number;
}

/** Of several tiers that claim a file the last one has it. */
export const TIERS: readonly Tier[] = [
  { name: "unit", paths: [], testTimeoutMs: 120_000, tierTimeoutMs: 240_000, workers: 2 },
  { name: "sim", paths: ["sim/"], testTimeoutMs: 90_000, tierTimeoutMs: 100_000, workers: 2 },
  { name: "netns", paths: ["netns/"], testTimeoutMs: 120_000, tierTimeoutMs: 240_000, workers: 2 },
  { name: "e2e", paths: ["e2e/"], testTimeoutMs: 180_000, tierTimeoutMs: 200_000, workers: 3 },
  {
    // A socket that overflows (11 of 300 packets lost beside another file) and fifty processes want
    // both cores, and so does a hand-over under load; dev removes what others of its kind left.
    name: "alone",
    paths: ["netns/miss.", "e2e/many.", "native/tunnel-restart.", "e2e/dev."],
    testTimeoutMs: 180_000,
    tierTimeoutMs: 150_000,
    workers: 1,
  },
];

export interface Selection {
  /** Files per tier name; a tier without files is left out. */
  files: Map<string, string[]>;
  /** Everything from the first option on, for `bun test`. */
  options: string[];
  /** Words that selected nothing. */
  unknown: string[];
}

export function tierOf(file: string): string {
  const claims = ({ paths }: Tier): boolean =>
    paths.some((path) => file.startsWith(`test/${path}`));
  return TIERS.findLast(claims)?.name ?? "unit";
}

/** `words` are tier names, or parts of a path; none selects everything. */
export function select(words: readonly string[], all: readonly string[]): Selection {
  const split = words.findIndex((word) => word.startsWith("-"));
  const names = split < 0 ? words : words.slice(0, split);
  const isTier = (word: string): boolean => TIERS.some((tier) => tier.name === word);
  const matches = (word: string, file: string): boolean =>
    isTier(word) ? tierOf(file) === word : file.includes(word.replace(/^\.\//, ""));
  const wanted = all.filter((file) => names.length === 0 || names.some((w) => matches(w, file)));
  const files = Map.groupBy(wanted, tierOf);
  return {
    files: new Map(
      TIERS.flatMap(({ name }) => (files.has(name) ? [[name, files.get(name) ?? []]] : [])),
    ),
    options: split < 0 ? [] : words.slice(split),
    unknown: names.filter((word) => !isTier(word) && !all.some((file) => matches(word, file))),
  };
}
