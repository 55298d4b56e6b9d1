// nftables tables: read whole, replaced whole in one transaction. Everything in a table of ours
// that we would not have written shows up in the result as a rule or chain of its own, so that any
// change by somebody else makes the table differ.

import { NativeError } from "../ffi/libc.ts";
import { NETLINK_NETFILTER } from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import {
  BATCH,
  chain as chainMessage,
  delTable,
  generationOf,
  getChains,
  getGeneration,
  getRules,
  getTables,
  NFPROTO,
  newChain,
  newRule,
  newTable,
  nftables,
  rule as ruleMessage,
  type TableFamily,
} from "../ffi/netlink/nftables.ts";
import { NetlinkSocket, type Request } from "../ffi/netlink/socket.ts";
import { withNetns } from "../ffi/netns.ts";
import { attempt, DONE, failure, refusal } from "./kernel-netlink-outcome.ts";
import { programOf, textOf } from "./kernel-netlink-rule-text.ts";
import type { RuleChain, RuleTable } from "./kernel-state.ts";
import type { OpOutcome } from "./op.ts";

/** enum nf_inet_hooks (linux/netfilter.h). */
const HOOKS = { forward: 2, postrouting: 4 } as const;
const NF_ACCEPT = 1;
/** Of NFTA_CHAIN_FLAGS: the chain has a hook; any other flag is not ours. */
const NFT_CHAIN_BASE = 1;
const MISSING = "this kernel has no nftables: modprobe nf_tables";
/** What nfnetlink says when there is no nf_tables to give a message to. */
const NO_NFTABLES: ReadonlySet<number> = new Set([22, 95]);

export class Rules {
  /** Null where the kernel has no netfilter to ask. */
  readonly #socket: NetlinkSocket | null;
  #known: {
    readonly generation: string;
    readonly keys: string;
    readonly tables: readonly RuleTable[];
  } | null = null;

  constructor(netns: string | null) {
    this.#socket = openNetfilter(netns);
  }

  close(): void {
    this.#socket?.close();
  }

  /** Notifications of our own transactions carry it; null when there are none. */
  get port(): number | null {
    return this.#socket?.port ?? null;
  }

  /**
   * Tables by key, `inet heddle_default`; one that is not there is left out. They are read again
   * only when the kernel's rule set has another generation, because a pass happens at every event.
   * Throws NetlinkError.
   */
  observe(keys: readonly string[]): readonly RuleTable[] {
    if (this.#socket === null || keys.length === 0) return [];
    try {
      // Asked before reading: what changes meanwhile makes the next look a real one.
      const generation = generationOf(this.#socket.get(getGeneration)) ?? "";
      const known = this.#known;
      if (known?.generation === generation && known.keys === keys.join()) return known.tables;
      const tables = readTables(this.#socket, keys);
      this.#known = { generation, keys: keys.join(), tables };
      return tables;
    } catch (error) {
      if (error instanceof NetlinkError && NO_NFTABLES.has(error.errno)) return [];
      throw error;
    }
  }

  set(table: RuleTable): Promise<OpOutcome> {
    const requests = replacement(table);
    if (typeof requests === "string") return Promise.resolve(refusal(requests));
    return this.#commit(table, requests);
  }

  del(table: RuleTable): Promise<OpOutcome> {
    return this.#commit(table, emptied(table));
  }

  /** Whether there is an nf_tables to give a message to. */
  #answers(): boolean {
    try {
      return this.#socket?.get(getGeneration) !== undefined;
    } catch (error) {
      if (error instanceof NetlinkError && NO_NFTABLES.has(error.errno)) return false;
      throw error;
    }
  }

  #commit(table: RuleTable, requests: readonly Request[]): Promise<OpOutcome> {
    return attempt(() => {
      const error = this.#socket?.commit(BATCH.begin, requests, BATCH.end);
      if (error === undefined) return refusal(MISSING);
      if (error === null) return DONE;
      // Up to Linux 6.1 at least, a refused chain is EOPNOTSUPP too.
      if (NO_NFTABLES.has(error.errno) && !this.#answers()) return refusal(MISSING);
      return failure(error.errno, error.extack ?? `rules of ${table.family} ${table.name}`);
    });
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

/** Adding first makes the removal succeed whether or not the table is there. */
function emptied({ family, name }: RuleTable): Request[] {
  return [newTable(NFPROTO[family], name), delTable(NFPROTO[family], name)];
}

/** The whole transaction without its marks, or why there is none. */
export function replacement(table: RuleTable): Request[] | string {
  const { name: tableName, chains } = table;
  const family = NFPROTO[table.family];
  const requests = [...emptied(table), newTable(family, tableName)];
  const rules: Request[] = [];
  for (const { name, type, hook, priority, rules: texts } of chains) {
    requests.push(
      newChain(family, {
        NFTA_CHAIN_TABLE: tableName,
        NFTA_CHAIN_NAME: name,
        NFTA_CHAIN_TYPE: type,
        NFTA_CHAIN_HOOK: { NFTA_HOOK_HOOKNUM: HOOKS[hook], NFTA_HOOK_PRIORITY: priority },
      }),
    );
    for (const text of texts) {
      const program = programOf(text);
      if (program === null) return `not a rule that Heddle can write: ${text}`;
      rules.push(
        newRule(family, {
          NFTA_RULE_TABLE: tableName,
          NFTA_RULE_CHAIN: name,
          NFTA_RULE_EXPRESSIONS: program,
        }),
      );
    }
  }
  return [...requests, ...rules];
}

function readTables(socket: NetlinkSocket, keys: readonly string[]): RuleTable[] {
  const found = socket.dump(getTables, (frame) => nftables.read(frame));
  const tables: RuleTable[] = [];
  for (const key of keys) {
    const [family, name] = key.split(" ");
    if (!isFamily(family) || name === undefined) throw new RangeError(`${key} names no table`);
    const number = NFPROTO[family];
    const table = found.find(
      ({ header, attrs }) => header.family === number && attrs.NFTA_TABLE === name,
    );
    if (table === undefined) continue;
    const chains = readChains(socket, number, name);
    tables.push({ family, name, chains: [...chains, ...oddities(table.attrs, chains.length)] });
  }
  return tables;
}

type TableAttrs = ReturnType<typeof nftables.read>["attrs"];

/** What is in a table besides chains, and what makes it another than ours: as chains. */
function oddities(found: TableAttrs, chains: number): RuleChain[] {
  const odd: RuleChain[] = [];
  const flags = found.NFTA_TABLE_FLAGS ?? 0;
  if (flags !== 0) odd.push(unknownChain(`flags 0x${flags.toString(16)}`));
  // The kernel counts the chains, sets, objects and flow tables of a table.
  const others = (found.NFTA_TABLE_USE ?? chains) - chains;
  if (others !== 0) odd.push(unknownChain(`${others} objects`));
  return odd;
}

function readChains(socket: NetlinkSocket, family: number, table: string): RuleChain[] {
  const rules = new Map<string, string[]>();
  socket.dump(getRules(family, table), (frame) => {
    const { attrs } = ruleMessage.read(frame);
    if (attrs.NFTA_RULE_TABLE !== table) return null;
    const { NFTA_RULE_CHAIN: chain = "", NFTA_RULE_EXPRESSIONS: program = [] } = attrs;
    // nft keeps comments in the user data.
    const plain = attrs.NFTA_RULE_USERDATA === undefined && attrs.NFTA_RULE_COMPAT === undefined;
    const text = plain ? textOf(program) : `${textOf(program)} # more`;
    rules.set(chain, [...(rules.get(chain) ?? []), text]);
    return null;
  });
  return socket.dump(getChains(family), (frame) => {
    const { attrs } = chainMessage.read(frame);
    const name = attrs.NFTA_CHAIN_NAME ?? "";
    if (attrs.NFTA_CHAIN_TABLE !== table) return null;
    return { ...headOf(attrs), name, rules: rules.get(name) ?? [] };
  });
}

type ChainAttrs = ReturnType<typeof chainMessage.read>["attrs"];

/** Type, hook and priority; such as no table of ours has, when the chain is not like ours. */
function headOf(found: ChainAttrs): Omit<RuleChain, "name" | "rules"> {
  const { NFTA_CHAIN_TYPE: type, NFTA_CHAIN_HOOK: at, NFTA_CHAIN_POLICY: policy } = found;
  const priority = at?.NFTA_HOOK_PRIORITY;
  const hook = Object.entries(HOOKS).find(([, number]) => number === at?.NFTA_HOOK_HOOKNUM)?.[0];
  const plain =
    policy === NF_ACCEPT &&
    at?.NFTA_HOOK_DEV === undefined &&
    ((found.NFTA_CHAIN_FLAGS ?? 0) & ~NFT_CHAIN_BASE) === 0;
  if (!plain || priority === undefined || hook === undefined) return unknownHead;
  if (type !== "filter" && type !== "nat") return unknownHead;
  return { type, hook: hook as RuleChain["hook"], priority };
}

/** A priority that no table of ours uses. */
const unknownHead = {
  type: "filter",
  hook: "forward",
  priority: Number.MAX_SAFE_INTEGER,
} as const;

const unknownChain = (name: string): RuleChain => ({ ...unknownHead, name, rules: [] });

function isFamily(text: string | undefined): text is TableFamily {
  return text === "ip" || text === "ip6" || text === "inet";
}
