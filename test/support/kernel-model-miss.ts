// The asking part of the kernel's model: packets that a test sends to a peer's gateway are
// delivered, dropped, or wait in a queue of the neighbour while the kernel asks for it, once a
// second and three times. It goes by what the model of the kernel holds at that moment.

import type { Clock } from "../../src/events/clock.ts";
import { type Fdb, keyOf, type Neigh, PROTOCOL } from "../../src/reconcilers/kernel-state.ts";
import type {
  Answer,
  Answered,
  Miss,
  MissKernel,
  MissWatch,
  MissWatcher,
  Prepared,
  Use,
} from "../../src/reconcilers/miss.ts";
import type { OpOutcome } from "../../src/reconcilers/op.ts";
import type { KernelModel } from "./kernel-model.ts";

export type Fate = "delivered" | "refused" | "unanswered" | "no entry";

interface Waiting {
  readonly dev: string;
  readonly ip: string;
  readonly sinceMs: number;
  readonly packets: ((fate: Fate) => void)[];
  asked: number;
}

/** Who listens, and what the thread may answer for it. */
interface Listening {
  readonly watcher: MissWatcher;
  readonly prepared: Map<string, NonNullable<Prepared["to"]>>;
  readonly untold: Answered[];
  devs: readonly string[];
}

const ASK_MS = 1000;
/** app_solicit of a device on demand. */
const ASKS = 3;

export class MissModel implements MissKernel {
  readonly #kernel: KernelModel;
  readonly #clock: Clock;
  readonly #listening = new Set<Listening>();
  readonly #waiting = new Map<string, Waiting>();
  /** By device and MAC address. */
  readonly #usedMs = new Map<string, number>();
  /** Probability with which a question is not heard. */
  lossRate = 0;
  /** Whether there is a thread for who listens from now on. */
  thread = true;
  readonly #random: () => number;

  constructor(kernel: KernelModel, clock: Clock, random: () => number = () => 1) {
    this.#kernel = kernel;
    this.#clock = clock;
    this.#random = random;
  }

  /** A packet to the gateway `ip` through `dev`; calls back with what became of it. */
  send(dev: string, ip: string, fate: (fate: Fate) => void): void {
    const key = `${dev} ${ip}`;
    const neigh = this.#kernel.state.neighs.get(key);
    const waiting = this.#waiting.get(key);
    if (neigh?.permanent) fate(this.#transmit(neigh));
    else if (waiting !== undefined) waiting.packets.push(fate);
    else {
      const sinceMs = this.#clock.nowMs();
      this.#waiting.set(key, { dev, ip, sinceMs, packets: [fate], asked: 0 });
      this.#ask(key);
    }
  }

  /** Questions were lost and the listener is told. */
  overrun(): void {
    for (const { watcher } of this.#listening) queueMicrotask(() => watcher.onGap());
  }

  /** Since a packet was last sent by the entry of this MAC address; null when it never was. */
  idleMs(dev: string, mac: string): number | null {
    const usedMs = this.#usedMs.get(`${dev} ${mac}`);
    return usedMs === undefined ? null : this.#clock.nowMs() - usedMs;
  }

  watchMisses(watcher: MissWatcher): MissWatch {
    const one: Listening = { watcher, prepared: new Map(), untold: [], devs: [] };
    this.#listening.add(one);
    queueMicrotask(() => watcher.onGap());
    const { thread } = this;
    return {
      path: thread ? { by: "thread", realtime: true } : { by: "event-loop", reason: "no thread" },
      prepare: (answers) => {
        for (const { ip, to } of answers) {
          if (to === null) one.prepared.delete(ip);
          else if (thread) one.prepared.set(ip, to);
        }
      },
      serve: (devs) => {
        one.devs = devs;
      },
      drain: () => {
        for (const answered of one.untold.splice(0)) watcher.onAnswered(answered);
      },
      close: () => void this.#listening.delete(one),
    };
  }

  pending(devs: readonly string[]): readonly Miss[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#waiting.values()]
      .filter(({ dev }) => devs.includes(dev))
      .map(({ dev, ip, sinceMs }) => ({ dev, ip, sinceMs: nowMs - sinceMs }));
  }

  answer(ops: readonly Answer[]): readonly OpOutcome[] {
    return ops.map((op) => {
      const outcome = this.#kernel.applyOne(op);
      if (op.noun === "fdb" && outcome.ok) this.#note(op.object);
      if (op.noun === "neigh") this.settle(op.key, op.verb === "del" ? "refused" : null);
      return outcome;
    });
  }

  uses(devs: readonly string[]): readonly Use[] {
    return [...this.#kernel.state.neighs.values()]
      .filter(({ dev, permanent, mac }) => devs.includes(dev) && permanent && mac !== null)
      .map(({ dev, ip, mac }) => {
        // An entry counts as used when it is made.
        const key = `${dev} ${mac}`;
        if (!this.#usedMs.has(key)) this.#usedMs.set(key, this.#clock.nowMs());
        return { dev, ip, idleMs: this.idleMs(dev, mac ?? "") ?? 0 };
      });
  }

  /** Others may have changed neighbours. */
  settleAll(): void {
    for (const key of [...this.#waiting.keys()]) this.settle(key);
  }

  /** A neighbour came to be, by whatever hand: who waits for it is sent, or told `fate`. */
  settle(key: string, fate: Fate | null = null): void {
    const waiting = this.#waiting.get(key);
    const neigh = this.#kernel.state.neighs.get(key);
    if (waiting === undefined || (fate === null && !neigh?.permanent)) return;
    this.#waiting.delete(key);
    for (const packet of waiting.packets) {
      packet(fate ?? (neigh === undefined ? "unanswered" : this.#transmit(neigh)));
    }
  }

  #ask(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    if (waiting.asked === ASKS) {
      this.settle(key, "unanswered");
      return;
    }
    waiting.asked++;
    const { dev, ip } = waiting;
    if (this.#random() >= this.lossRate) {
      for (const one of this.#listening) this.#question(one, dev, ip);
    }
    this.#clock.after(ASK_MS, () => {
      if (this.#waiting.get(key) === waiting) this.#ask(key);
    });
  }

  #question(one: Listening, dev: string, ip: string): void {
    const to = one.devs.includes(dev) ? one.prepared.get(ip) : undefined;
    const { watcher, untold } = one;
    if (to === undefined) {
      queueMicrotask(() => watcher.onMiss({ dev, ip, sinceMs: 0 }));
      return;
    }
    const fdb = { dev, mac: to.mac, dst: to.dst, permanent: true, extra: null };
    const neigh = { dev, ip, mac: to.mac, permanent: true, protocol: PROTOCOL };
    const set = { verb: "set", found: null } as const;
    const outcomes = this.answer([
      { ...set, noun: "fdb", key: keyOf.fdb(fdb), object: fdb },
      { ...set, noun: "neigh", key: keyOf.neigh(neigh), object: neigh },
    ]);
    untold.push({ dev, ip, waitedUs: 1, ok: outcomes.every(({ ok }) => ok) });
    queueMicrotask(() => {
      if (!this.#listening.has(one)) return;
      for (const answered of untold.splice(0)) watcher.onAnswered(answered);
    });
  }

  #transmit({ dev, mac }: Neigh): Fate {
    for (const entry of this.#kernel.state.fdb.values()) {
      if (entry.dev !== dev || entry.mac !== mac) continue;
      this.#note(entry);
      return "delivered";
    }
    return "no entry";
  }

  #note({ dev, mac }: Fdb): void {
    this.#usedMs.set(`${dev} ${mac}`, this.#clock.nowMs());
  }
}
