// The log as it truly is, folded by the simulation itself, and what must hold of every state that
// any host folds: one log, one state; no subnet with two owners; no effect of what was not
// accepted.

import { type Chain, extend, genesis, hex } from "../../src/agent/chain.ts";
import { overlaps, prefixOf } from "../../src/events/address.ts";
import type { fold } from "../../src/events/fold.ts";
import type { Recorded } from "../../src/events/log.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { stateDocument } from "../../src/events/state-document.ts";
import type { MemoryLog } from "../support/log-memory.ts";

export interface OracleDeps {
  readonly fabric: string;
  readonly log: MemoryLog;
  readonly fail: (rule: string, what: string) => void;
  readonly say: (who: string, what: string) => void;
  readonly fold: typeof fold;
}

export class Oracle {
  state: FabricState;
  readonly #deps: OracleDeps;
  #chain: Chain = genesis;
  #chains: string[] = [];
  #last: Recorded | null = null;
  #created = "";
  /** By the chain over the records that led to it. */
  readonly #hashes = new Map<string, string>();

  constructor(deps: OracleDeps) {
    this.#deps = deps;
    this.state = initialState(deps.fabric);
  }

  /** Folds what the log holds by now; from the start if it is not what it was. */
  sync(): void {
    const { exists, created, records } = this.#deps.log.truth;
    if (!exists) return;
    const { seq } = this.state;
    if (created !== this.#created || (seq > 0 && records[seq - 1] !== this.#last)) {
      this.state = initialState(this.#deps.fabric);
      this.#chain = genesis;
      this.#chains = [];
      this.#created = created;
    }
    for (let i = this.state.seq; i < records.length; i++) {
      const record = records[i];
      if (record !== undefined) this.#take(record);
    }
  }

  /** Over the records up to `seq` as the log holds them now, or null. */
  chainAt(seq: number): string | null {
    return this.#chains[seq] ?? null;
  }

  /** A host came to `state` over the records of `chain`. */
  check(who: string, chain: string, state: Readonly<FabricState>): void {
    const text = JSON.stringify(stateDocument(state));
    const known = this.#hashes.get(chain);
    if (known === undefined) {
      this.#hashes.set(chain, text);
      this.#checkOwners(who, state);
    } else if (known !== text) {
      this.#deps.fail("one log, one state", `${who} at #${state.seq}: ${text} is not ${known}`);
    }
  }

  #take(record: Recorded): void {
    const { fail, say, log } = this.#deps;
    const before = effect(this.state);
    const { verdict, event } = this.#deps.fold(this.state, record);
    this.#chain = extend(this.#chain, record);
    this.#last = record;
    const chain = hex(this.#chain.hash);
    this.#chains[record.seq] = chain;
    const reason = "reason" in verdict ? `: ${verdict.reason}` : "";
    const what = event === null ? record.subject : `${event.type} ${brief(event.data)}`;
    say(log.truth.created, `#${record.seq} ${what} ${verdict.kind}${reason}`);
    if (verdict.kind !== "accepted" && effect(this.state) !== before) {
      fail("what is not accepted changes nothing", `#${record.seq} ${what} ${verdict.kind}`);
    }
    this.check("oracle", chain, this.state);
  }

  #checkOwners(who: string, state: Readonly<FabricState>): void {
    const rule = "every subnet has one owner";
    const held = [...state.leases.values()].flatMap(({ node, subnets }) =>
      subnets.map((subnet) => ({ node, subnet, prefix: prefixOf(subnet) })),
    );
    for (const [i, a] of held.entries()) {
      if (state.owners.get(a.subnet) !== a.node) {
        this.#deps.fail(rule, `${who} #${state.seq}: owners and leases differ on ${a.subnet}`);
      }
      for (const b of held.slice(i + 1)) {
        if (!overlaps(a.prefix, b.prefix)) continue;
        const both = `${a.subnet} of ${a.node} and ${b.subnet} of ${b.node}`;
        this.#deps.fail(rule, `${who} #${state.seq}: ${both}`);
      }
      for (const peer of state.peers.values()) {
        if (!overlaps(a.prefix, prefixOf(peer.subnet))) continue;
        const both = `${a.subnet} of ${a.node} and peer ${peer.name}`;
        this.#deps.fail(rule, `${who} #${state.seq}: ${both}`);
      }
    }
    if (state.owners.size !== held.length) {
      this.#deps.fail(rule, `${who} #${state.seq}: ${state.owners.size} owners, ${held.length}`);
    }
  }
}

/** The state without what every record changes. */
function effect(state: Readonly<FabricState>): string {
  const document = stateDocument(state);
  return JSON.stringify({ ...document, seq: 0, timeMs: 0, quarantine: null });
}

function brief(data: object): string {
  const parts = Object.entries(data)
    .filter(([key]) => ["node", "owner", "name", "subnet", "subnets", "epoch"].includes(key))
    .map(([, value]) => String(value));
  return parts.join(" ");
}
