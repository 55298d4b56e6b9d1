// nftables tables through nft(8): read with `nft list`, replaced as a whole in one transaction. The
// listing is parsed by line, and every line that we would not have written shows up in the result
// as a rule or chain of its own, so that any change by somebody else makes the table differ.

import { NativeError } from "../ffi/libc.ts";
import { NETLINK_NETFILTER } from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import { generationOf, getGeneration, getTables, tableOf } from "../ffi/netlink/nftables.ts";
import { NetlinkSocket } from "../ffi/netlink/socket.ts";
import { withNetns } from "../ffi/netns.ts";
import { DONE, refusal } from "./kernel-netlink-outcome.ts";
import type { RuleChain, RuleTable } from "./kernel-state.ts";
import type { OpOutcome } from "./op.ts";

interface Output {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

const MISSING = "nft is not installed or not in PATH: install nftables";

/** Runs nft in the namespace; null when there is no such program. */
async function nft(netns: string | null, args: string[], input: string): Promise<Output | null> {
  const program = Bun.which("nft", { PATH: process.env.PATH ?? "" });
  if (program === null) return null;
  const child = withNetns(netns, () =>
    Bun.spawn([program, ...args], {
      stdin: new TextEncoder().encode(input),
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { ok: code === 0, stdout, stderr };
}

/**
 * Reads tables, and reads them again only when the kernel's rule set has another generation:
 * starting nft costs 15 ms, asking for the generation 20 us, and a pass happens at every event.
 */
export class RuleReader {
  readonly #netns: string | null;
  /** Null where the kernel has no nftables to ask: then every look is a real one. */
  readonly #socket: NetlinkSocket | null;
  #known: {
    readonly generation: string;
    readonly keys: string;
    readonly tables: readonly RuleTable[];
  } | null = null;

  constructor(netns: string | null) {
    this.#netns = netns;
    this.#socket = openNetfilter(netns);
  }

  close(): void {
    this.#socket?.close();
  }

  /** Tables by key, `inet heddle_default`; one that is not there is left out. */
  async observe(keys: readonly string[]): Promise<readonly RuleTable[]> {
    // Asked before reading: what changes meanwhile makes the next look a real one.
    const generation = this.#generation();
    const known = this.#known;
    if (generation !== null && known?.generation === generation && known.keys === keys.join()) {
      return known.tables;
    }
    const present = this.#present();
    const there = present === null ? keys : keys.filter((key) => present.has(key));
    const tables = await readTables(this.#netns, there);
    this.#known = generation === null ? null : { generation, keys: keys.join(), tables };
    return tables;
  }

  /** Which tables there are, so that nft is not started to find none; null when unknown. */
  #present(): ReadonlySet<string> | null {
    try {
      return this.#socket === null ? null : new Set(this.#socket.dump(getTables, tableOf));
    } catch (error) {
      if (error instanceof NetlinkError) return null;
      throw error;
    }
  }

  #generation(): string | null {
    try {
      return this.#socket === null ? null : generationOf(this.#socket.get(getGeneration));
    } catch (error) {
      if (error instanceof NetlinkError) return null; // Not answered: look for real.
      throw error;
    }
  }
}

function openNetfilter(netns: string | null): NetlinkSocket | null {
  try {
    return withNetns(netns, () => new NetlinkSocket(NETLINK_NETFILTER));
  } catch (error) {
    if (error instanceof NativeError) return null;
    throw error;
  }
}

async function readTables(netns: string | null, keys: readonly string[]): Promise<RuleTable[]> {
  const tables: RuleTable[] = [];
  for (const key of keys) {
    const [family, name] = key.split(" ");
    if (!isFamily(family) || name === undefined) throw new RangeError(`${key} names no table`);
    // -s leaves counters' values out, -y prints priorities as numbers.
    const listed = await nft(netns, ["-s", "-y", "list", "table", family, name], "");
    if (listed?.ok === true) tables.push({ family, name, chains: parseChains(listed.stdout) });
    else if (listed !== null && !listed.stderr.includes("No such file or directory")) {
      throw new Error(`nft list table ${key}: ${listed.stderr.trim()}`);
    }
  }
  return tables;
}

export async function setRules(netns: string | null, table: RuleTable): Promise<OpOutcome> {
  return await run(netns, `${emptied(table)}${printTable(table)}`);
}

export async function delRules(netns: string | null, table: RuleTable): Promise<OpOutcome> {
  // Adding first makes the removal succeed when the table is already gone.
  return await run(netns, emptied(table));
}

async function run(netns: string | null, script: string): Promise<OpOutcome> {
  const output = await nft(netns, ["-f", "-"], script);
  if (output === null) return refusal(MISSING);
  return output.ok ? DONE : refusal(`nft: ${output.stderr}`);
}

const emptied = ({ family, name }: RuleTable) =>
  `add table ${family} ${name}\ndelete table ${family} ${name}\n`;

function printTable({ family, name, chains }: RuleTable): string {
  const body = chains.map(
    (chain) =>
      `chain ${chain.name} {\ntype ${chain.type} hook ${chain.hook} priority ${chain.priority};\n` +
      `${chain.rules.join("\n")}\n}\n`,
  );
  return `table ${family} ${name} {\n${body.join("")}}\n`;
}

const HEAD = /^type (filter|nat) hook (forward|postrouting) priority (-?\d+); policy accept;$/;

/** The chains of one listed table. Lines outside what we write become chains with that name. */
function parseChains(listing: string): RuleChain[] {
  const chains: (RuleChain & { readonly rules: string[] })[] = [];
  let rules: string[] | null = null;
  const lines = listing.split("\n").map((line) => line.trim());
  for (const line of lines.slice(1, lines.lastIndexOf("}"))) {
    const opened = /^chain (\S+) \{$/.exec(line);
    if (opened !== null) {
      rules = [];
      chains.push({ ...unknownHead(opened[1] ?? ""), rules });
    } else if (line === "}") rules = null;
    else if (line === "") continue;
    else if (rules === null) chains.push({ ...unknownHead(line), rules: [] });
    else if (!applyHead(chains, line)) rules.push(line);
  }
  return chains;
}

/** Until its hook is met, a chain has a priority that no table of ours uses. */
const unknownHead = (name: string) =>
  ({ name, type: "filter", hook: "forward", priority: Number.MAX_SAFE_INTEGER }) as const;

function applyHead(chains: (RuleChain & { readonly rules: string[] })[], line: string): boolean {
  const head = HEAD.exec(line);
  const chain = chains.at(-1);
  if (head === null || chain === undefined || chain.rules.length > 0) return false;
  chains[chains.length - 1] = {
    ...chain,
    type: head[1] === "nat" ? "nat" : "filter",
    hook: head[2] === "postrouting" ? "postrouting" : "forward",
    priority: Number(head[3]),
  };
  return true;
}

function isFamily(text: string | undefined): text is RuleTable["family"] {
  return text === "ip" || text === "ip6" || text === "inet";
}
