// Several keepers on one list of records, without a network: each has a state of its own that lags
// behind the log, speaks from what it knows, and learns from the fold what became of it.

import { nextStep, type Step } from "../../src/agent/keeper.ts";
import { fromNumber } from "../../src/events/address.ts";
import { decide } from "../../src/events/decide.ts";
import type { EventType } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import type { Recorded } from "../../src/events/log.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import type { Verdict } from "../../src/events/verdict.ts";
import { FABRIC, messageOf, START_MS } from "./arbitraries.ts";
import { defaultMember } from "./history.ts";

interface Host {
  readonly node: string;
  state: FabricState;
  instance: number;
  joined: boolean;
  alive: boolean;
}

const TTL_SECONDS = 60;
const MARGIN_SECONDS = 20;
/** Nobody needs as many to get from nothing to a lease, whatever the others do. */
const STEPS_MAX = 60;

export class KeeperFabric {
  readonly #hosts: readonly Host[];
  readonly #records: Recorded[] = [];
  readonly #events: { readonly type: EventType; readonly owner: string; verdict: Verdict }[] = [];
  readonly #state = initialState(FABRIC);
  #timeMs = START_MS;

  constructor(hosts: number, subnets: number) {
    const max = fromNumber("ipv4", BigInt((10 << 24) | (5 << 16) | ((subnets - 1) << 8)));
    const config = { Network: "10.5.0.0/16", SubnetMin: "10.5.0.0", SubnetMax: max };
    this.#append(messageOf({ type: "FabricConfigured", data: { config } }, "config"));
    this.#hosts = Array.from({ length: hosts }, (_, i) => ({
      node: `h${i + 1}`,
      state: initialState(FABRIC),
      instance: 1,
      joined: false,
      alive: true,
    }));
  }

  /** The whole log, folded. */
  state(): Readonly<FabricState> {
    return this.#state;
  }

  living(): readonly string[] {
    return this.#hosts.filter(({ alive }) => alive).map(({ node }) => node);
  }

  expired(): string[] {
    const expiries = this.#events.filter(({ type }) => type === "LeaseExpired");
    return expiries.filter(({ verdict }) => verdict.kind === "accepted").map(({ owner }) => owner);
  }

  verdicts(type: EventType): readonly Verdict["kind"][] {
    return this.#events.filter((event) => event.type === type).map(({ verdict }) => verdict.kind);
  }

  turn(index: number, act: "speak" | "read" | "crash" | "restart", afterMs: number): void {
    this.#timeMs += afterMs;
    const host = this.#hosts[index % this.#hosts.length];
    if (host === undefined) return;
    if (act === "crash") host.alive = false;
    if (act === "restart" && !host.alive) this.#restart(host);
    if (!host.alive) return;
    if (act === "read") this.#read(host);
    if (act === "speak") this.#speak(host);
  }

  next(node: string): Step {
    const host = this.#hosts.find((each) => each.node === node);
    if (host === undefined) throw new Error(node);
    this.#read(host);
    return this.#next(host);
  }

  /** Time passes, then all living hosts read, and speak until they have nothing more to say. */
  everybody(afterMs: number): void {
    this.#timeMs += afterMs;
    for (const host of this.#hosts) {
      for (let step = 0; host.alive; step++) {
        if (step > STEPS_MAX) throw new Error(`${host.node} does not come to rest`);
        this.#read(host);
        if (!this.#speak(host)) break;
      }
    }
  }

  settle(): void {
    for (let round = 0; ; round++) {
      if (round > STEPS_MAX) throw new Error("the fabric does not come to rest");
      const before = this.#events.length;
      // Less than the margin, or the living would be taken for dead; often enough for the dead.
      this.everybody(MARGIN_SECONDS * 1000 - 1000);
      const said = this.#events.slice(before).filter(({ type }) => type !== "LeaseRenewed");
      if (said.length === 0 && round * MARGIN_SECONDS > 2 * TTL_SECONDS) return;
    }
  }

  #restart(host: Host): void {
    host.alive = true;
    host.joined = false;
    host.instance++;
    host.state = initialState(FABRIC);
    // A new process waits until the name's last holder is known to be gone.
    this.#timeMs += 6000;
    this.#read(host);
  }

  #read(host: Host): void {
    for (const record of this.#records.slice(host.state.seq)) fold(host.state, record);
  }

  #next(host: Host): Step {
    const { node, joined, state } = host;
    const instance = `boot-${host.instance}`;
    const member = { ...defaultMember(FABRIC, node), instance };
    const times = { ttlSeconds: TTL_SECONDS, marginSeconds: MARGIN_SECONDS };
    const self = { node, instance, member, joined, former: [], followedForMs: 3_600_000, ...times };
    return nextStep(state, self, this.#timeMs);
  }

  /** False when there was nothing to say. */
  #speak(host: Host): boolean {
    const step = this.#next(host);
    if (step.kind === "end") throw new Error(`${host.node} ended: ${step.reason}`);
    if (step.kind === "wait") return false;
    const decision = decide(host.state, step.command);
    if (!decision.ok) return true;
    for (const event of decision.events) {
      const verdict = this.#append(messageOf(event, `id-${this.#records.length}`));
      const owner = event.type === "LeaseExpired" ? event.data.owner : host.node;
      this.#events.push({ type: event.type, owner, verdict });
      this.#read(host);
      if (event.type === "NodeJoined" && verdict.kind === "accepted") host.joined = true;
    }
    return true;
  }

  #append(message: Pick<Recorded, "subject" | "payload">): Verdict {
    const record = { seq: this.#records.length + 1, timeMs: this.#timeMs, ...message };
    this.#records.push(record);
    return fold(this.#state, record).verdict;
  }
}
