// The simulated world: one log, some hosts, one operator, one clock. It knows no faults; faults.ts
// does things to it. Every step of it is checked.

import { encode } from "../../src/events/codec.ts";
import { type Command, decide } from "../../src/events/decide.ts";
import type { Draft } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { type MemoryClient, MemoryLog } from "../support/log-memory.ts";
import { Host, type HostBreak } from "./host.ts";
import { ignoreLogError } from "./log-port.ts";
import { Oracle } from "./oracle.ts";
import { type Prng, prng } from "./prng.ts";
import { FABRIC } from "./process.ts";
import { SimClock, settled } from "./sim-clock.ts";
import { createTrace, type Trace } from "./trace.ts";

/** A rule that must always hold does not. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;
  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`);
    this.rule = rule;
  }
}

export interface WorldOptions {
  readonly seed: number;
  readonly onLine?: (line: string) => void;
  readonly broken?: WorldBreak;
}

/** How an agent is broken on purpose, to see that the checkers notice. */
export interface WorldBreak {
  readonly host?: (node: string, world: World) => HostBreak;
  /** The configuration to begin with, where the breakage would seldom show in others. */
  readonly document?: Readonly<Record<string, unknown>>;
  /** Instead of the fold, in the simulation's own reading of the log. */
  readonly fold?: typeof fold;
  /** Called after every step. */
  readonly meddle?: (world: World) => void;
}

/** Far from any real clock, so that one that leaks in is noticed. */
const START_MS = Date.UTC(2030, 0, 1);

export class World {
  readonly clock = new SimClock(START_MS);
  readonly random: Prng;
  readonly trace: Trace;
  readonly log: MemoryLog;
  readonly oracle: Oracle;
  readonly hosts: readonly Host[];
  readonly ttlSeconds: number;
  steps = 0;
  /** Faults are over; what they had set up for later does not happen any more. */
  calm = false;
  readonly #operator: MemoryClient;
  readonly #meddle: (world: World) => void;
  readonly #checked = new Map<Host, string>();
  #violation: Violation | null = null;
  #ids = 0;

  constructor(options: WorldOptions) {
    const { seed, broken = {} } = options;
    this.random = prng(seed);
    const size = this.random.fork("size");
    const hosts = size.int(2, 5);
    const ttlSeconds = size.pick([2, 4, 8, 15, 40]);
    this.ttlSeconds = ttlSeconds;
    this.#meddle = broken.meddle ?? (() => undefined);
    const folding = broken.fold ?? fold;
    this.trace = createTrace(() => this.clock.nowMs(), options.onLine ?? (() => undefined));
    const say = this.trace.say;
    const fail = (rule: string, what: string) => this.fail(rule, what);
    this.log = new MemoryLog(this.clock, { seed });
    this.#operator = this.log.client();
    this.oracle = new Oracle({ fabric: FABRIC, log: this.log, fail, say, fold: folding });
    this.hosts = Array.from({ length: hosts }, (_, i) => {
      const node = `h${i + 1}`;
      return new Host({
        node,
        clock: this.clock,
        random: this.random.fork(node),
        client: this.log.client(),
        underlay: { ipv4: `198.18.0.${i + 1}`, ipv6: `2001:db8::${i + 1}`, mtu: 1500 },
        ttlSeconds,
        marginSeconds: Math.ceil(ttlSeconds / 2),
        say,
        fail,
        broken: broken.host?.(node, this) ?? {},
      });
    });
  }

  fail(rule: string, what: string): void {
    if (this.#violation !== null) return;
    this.#violation = new Violation(rule, what);
    this.trace.say("VIOLATED", `${rule}: ${what}`);
  }

  /** An operator's word, if it makes sense as the log stands. */
  command(command: Command): boolean {
    const decision = decide(this.oracle.state, command);
    if (!decision.ok) return false;
    for (const draft of decision.events) this.append(draft);
    return true;
  }

  append(draft: Draft): void {
    const id = `operator-${++this.#ids}`;
    this.appendBytes(subjectOf(FABRIC, draft), encode(draft, id), id);
  }

  appendBytes(subject: string, payload: Uint8Array, id = `operator-${++this.#ids}`): void {
    this.#operator.log.append({ subject, payload, id }).catch(ignoreLogError);
  }

  /** Lets `ms` of simulated time pass, or ends early when `until` says so after a step. */
  async run(ms: number, until: () => boolean = () => false): Promise<boolean> {
    const untilMs = this.clock.nowMs() + ms;
    await settled();
    this.#check();
    for (let more = true; more; ) {
      if (until()) return true;
      more = await this.clock.step(untilMs);
      this.#check();
    }
    return until();
  }

  #check(): void {
    this.steps++;
    this.#meddle(this);
    this.oracle.sync();
    for (const host of this.hosts) this.#checkState(host);
    if (this.#violation !== null) throw this.#violation;
  }

  #checkState(host: Host): void {
    const running = host.process;
    const state = running?.agent?.state();
    if (running === null || state === undefined || state.seq === 0) return;
    const chain = running.lineage.chainAt(state.seq);
    if (chain === null) this.fail("one log, one state", `${host.node} folded the unread`);
    if (chain === null || this.#checked.get(host) === chain) return;
    this.#checked.set(host, chain);
    this.oracle.check(host.node, chain, state);
  }
}
