// Reads the text format of Prometheus as strictly as `promtool check metrics` does, in code of its
// own: every family has HELP, TYPE and then its samples, in one place; names carry their unit;
// counters end in `_total`; a histogram's buckets add up.

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

export class Scraped {
  readonly families = new Map<string, Family>();

  /** Throws with the line at fault. */
  constructor(text: string) {
    if (!text.endsWith("\n")) throw new Error("the last line does not end");
    const parts = { help: new Map<string, string>(), current: "" };
    for (const line of text.split("\n")) this.#take(line, parts);
    for (const [name, family] of this.families) check(name, family);
  }

  /** The one sample with these labels, of those that may have more. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.samples(name).filter((sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
    const [only] = found;
    if (only === undefined || found.length > 1) {
      throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`);
    }
    return only.value;
  }

  samples(name: string): readonly Sample[] {
    return [...this.families.values()].flatMap(({ samples }) =>
      samples.filter((sample) => sample.name === name),
    );
  }

  /** Of samples; a family without any still counts by its own name. */
  names(): ReadonlySet<string> {
    const names = [...this.families].flatMap(([name, { samples }]) => [
      name,
      ...samples.map((sample) => sample.name),
    ]);
    return new Set(names);
  }

  #take(line: string, parts: { readonly help: Map<string, string>; current: string }): void {
    if (line === "") return;
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (help !== null) {
      const [, name = "", text = ""] = help;
      if (parts.help.has(name)) throw new Error(`a second HELP: ${line}`);
      parts.help.set(name, text);
    } else if (type !== null) {
      const [, name = "", kind = ""] = type;
      const text = parts.help.get(name);
      if (text === undefined || this.families.has(name)) throw new Error(`out of place: ${line}`);
      this.families.set(name, { type: kind, help: text, samples: [] });
      parts.current = name;
    } else this.#takeSample(line, parts.current);
  }

  #takeSample(line: string, current: string): void {
    const [, name = "", inner, value = ""] =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const family = this.families.get(current);
    const base = family?.type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name;
    if (family === undefined || base !== current) throw new Error(`out of place: ${line}`);
    const labels = labelsOf(inner ?? "", line);
    const key = (sample: Sample): string => `${sample.name} ${JSON.stringify(sample.labels)}`;
    const sample = { name, labels, value: numberOf(value) };
    if (Number.isNaN(sample.value)) throw new Error(`no number: ${line}`);
    if (family.samples.some((other) => key(other) === key(sample))) {
      throw new Error(`twice: ${line}`);
    }
    family.samples.push(sample);
  }
}

function numberOf(text: string): number {
  return text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text);
}

function labelsOf(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== "") {
    const [all, name = "", value = ""] =
      /^([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/.exec(rest) ?? [];
    if (all === undefined || name in labels) throw new Error(`labels: ${line}`);
    labels[name] = JSON.parse(`"${value}"`) as string;
    rest = rest.slice(all.length);
  }
  return labels;
}

/** Units of which there is a base unit in the text format's guide. */
const SCALED = /(milli|micro|nano)?(seconds|ms)_(?!total)|_(ms|us|kb|mb|minutes|hours)$/;

function check(name: string, { type, samples }: Family): void {
  if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name} is a ${type}`);
  if (SCALED.test(name)) throw new Error(`${name}: not in a base unit`);
  for (const { value } of samples) {
    if (type === "counter" && value < 0) throw new Error(`${name} went down`);
  }
  if (type === "histogram") checkBuckets(name, samples);
}

function checkBuckets(name: string, samples: readonly Sample[]): void {
  const series = new Map<string, { last: number; bound: number }>();
  const keyOf = ({ le: _, ...labels }: Readonly<Record<string, string>>) => JSON.stringify(labels);
  for (const { labels, value } of samples.filter((each) => each.name === `${name}_bucket`)) {
    const before = series.get(keyOf(labels)) ?? { last: 0, bound: Number.NEGATIVE_INFINITY };
    const bound = numberOf(labels.le ?? "");
    if (!(bound > before.bound) || value < before.last) throw new Error(`${name}: buckets`);
    series.set(keyOf(labels), { last: value, bound });
  }
  for (const { labels, value } of samples.filter((each) => each.name === `${name}_count`)) {
    const { last, bound } = series.get(keyOf(labels)) ?? { last: -1, bound: 0 };
    if (last !== value || bound !== Number.POSITIVE_INFINITY) throw new Error(`${name}: count`);
  }
}
