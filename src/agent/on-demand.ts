// Entries on demand (Backend.Mode on-miss and hybrid): prepares the answers for the thread that
// gives them, answers itself what that passes on, from the folded log and within the same turn,
// remembers what is held, lets go of what is idle, and says both in the log. What is held is part
// of the plan, so that the loop heals and corrects it like everything else; only the first answer
// does not wait for a round. The kernel is the memory: a process that starts takes what it finds.
//
// What the kernel refuses is a problem of the host until it succeeds: what failed is tried again
// with each tick.
//
// Invariant: nothing here waits for the log between a question and its answer.

import type { Cidr } from "../events/address.ts";
import { type Clock, sleep } from "../events/clock.ts";
import { onDemand } from "../events/fold-miss.ts";
import type { VxlanBackend } from "../events/network-config-backend.ts";
import type { FabricState } from "../events/state.ts";
import { answerFor, holderOf, type PeerEntries } from "../reconcilers/desired-vxlan-miss.ts";
import { keyOf, PROTOCOL } from "../reconcilers/kernel-state.ts";
import { deviceName } from "../reconcilers/link.ts";
import type {
  Answer,
  Answered,
  Miss,
  MissKernel,
  MissPath,
  MissWatch,
} from "../reconcilers/miss.ts";
import { HeldPeers } from "./held-peers.ts";
import type { Logger } from "./logger.ts";
import { createMissJournal, type MissCounts } from "./miss-journal.ts";
import { MissLimiter } from "./miss-limiter.ts";
import { PreparedAnswers } from "./prepared-answers.ts";
import type { Speaker } from "./speaker.ts";
import type { Tail } from "./tail.ts";

/** An event of each kind at most so often; also how soon idle entries are looked for again. */
const TICK_MS = 1000;
/**
 * An entry without a packet for so long goes. Longer than the pauses of what people call in use: a
 * TCP keep-alive of a minute, a probe of five. What goes too early costs one more question.
 */
const IDLE_MS = 600_000;
/** The kernel is asked for idle entries at a tenth of that time. */
const LOOKS = 10;
/** What a flood may cost: to read all it left takes a tenth of the time. */
const PAUSE_FACTOR = 10;
/** Neighbour and entry of so many go in one chunk: no question can come between the two. */
const AGED_AT_ONCE = 100;

/** What is not done when the kernel fails. */
const [UNHEARD, UNSERVED] = ["questions are not heard", "no answers are prepared"];
const [UNTAKEN, UNREAD] = ["a question is not answered", "held entries are not read"];

export interface OnDemandDeps {
  readonly kernel: MissKernel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly node: string;
  readonly tail: Tail;
  readonly speaker: Speaker;
  /** There was a plan, and the name is ours: its peers may be answered for, frozen or not. */
  readonly mayAnswer: () => boolean;
  /** The plan may be acted on, and what it does not want may go. */
  readonly mayRemove: () => boolean;
  readonly maySpeak: () => boolean;
  /** Entries came by an answer. */
  readonly onAnswered: () => void;
  /** The kernel is not as the held entries want it: the loop has to see to it. */
  readonly onUnfinished: () => void;
  readonly idleMs?: number;
}

export interface MissStatus extends MissCounts {
  readonly mode: VxlanBackend["mode"];
  /** Peers' subnets with entries in the kernel. */
  readonly held: number;
  readonly hotPeers: number;
  /** Who answers; null before that is settled. */
  readonly path: MissPath | null;
}

export class OnDemand {
  readonly held = new HeldPeers();
  readonly #deps: OnDemandDeps;
  readonly #journal;
  readonly #limiter = new MissLimiter();
  readonly #idleMs: number;
  #watch: MissWatch | null = null;
  #prepared = new PreparedAnswers();
  #preparedSeq = -1;
  /** Not before the start is over: 10 000 rows are 20 ms of it. */
  #mayPrepare = false;
  #adopted = false;
  #followedSeq = -1;
  /** Questions came when none could be answered. */
  #unheard = false;
  /** Not before then again. */
  #recoverAtMs = Number.NEGATIVE_INFINITY;
  /** What failed last, by what is not done since. */
  readonly #failures = new Map<string, string>();
  /** Until the next tick. */
  #isDeaf = false;
  #lookAtMs = 0;

  constructor(deps: OnDemandDeps) {
    this.#deps = deps;
    this.#journal = createMissJournal(deps.node);
    this.#idleMs = deps.idleMs ?? IDLE_MS;
  }

  /** False while it is not known what the kernel holds: then nothing may be removed. */
  get isSettled(): boolean {
    return this.#adopted || this.#backend() === null;
  }

  status(): MissStatus | null {
    const backend = this.#backend();
    if (backend === null) return null;
    const { mode, hotPeers } = backend;
    const path = this.#preparedSeq < 0 ? null : (this.#watch?.path ?? null);
    return { mode, held: this.held.size, hotPeers, path, ...this.#journal.counts() };
  }

  /** What keeps entries from coming or going, in one line; null when nothing does. */
  problem(): string | null {
    const [first] = this.#failures;
    return first === undefined ? null : `entries on demand: ${first.join(": ")}`;
  }

  /** To be called before each plan: the log may have moved on. */
  follow(): void {
    const { tail, node } = this.#deps;
    const state = tail.state();
    const backend = this.#backend();
    if (backend === null) {
      this.#stop();
      return;
    }
    if (this.#followedSeq !== state.changedSeq) {
      this.#followedSeq = state.changedSeq;
      this.held.drop((subnet) => holderOf(state, node, subnet) === null);
    }
    const mayAdopt = tail.view().caughtUp && this.#deps.clock.nowMs() >= this.#recoverAtMs;
    if (!this.#adopted && mayAdopt) this.#adopt(state, backend);
    if (this.#watch === null && !this.#isDeaf) this.#listen();
    this.serve();
    if (this.#unheard && this.#deps.mayAnswer()) queueMicrotask(() => this.#recover());
  }

  /** Whether `work` succeeded; `notDone` is the problem until it does. */
  #succeeds(notDone: string, work: () => void): boolean {
    try {
      work();
      this.#failures.delete(notDone);
      return true;
    } catch (error) {
      this.#failures.set(notDone, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** What was told until now may be lost: it is found when the kernel is listened to again. */
  #hush(): void {
    this.#watch?.close();
    this.#watch = null;
    this.#prepared = new PreparedAnswers();
    this.#preparedSeq = -1;
    this.#adopted = false;
    this.#isDeaf = true;
  }

  /** To be called when the log moved on: the thread answers as it is now, or not at all. */
  serve(): void {
    const watch = this.#watch;
    if (watch !== null && !this.#succeeds(UNSERVED, () => this.#serve(watch))) this.#hush();
  }

  #serve(watch: MissWatch): void {
    const { tail, node, mayAnswer } = this.#deps;
    const backend = this.#backend();
    const state = tail.state();
    if (this.#mayPrepare && this.#preparedSeq !== state.changedSeq) {
      if (watch.path.by === "thread") watch.prepare(this.#prepared.changes(state, node));
      this.#preparedSeq = state.changedSeq;
    }
    watch.serve(backend === null || !mayAnswer() ? [] : devicesOf(backend));
    watch.drain();
  }

  #listen(): void {
    const { kernel, logger } = this.#deps;
    const open = (): void => {
      const watch = kernel.watchMisses({
        onMiss: (miss) => this.#told(() => this.#hear(miss)),
        onAnswered: (answered) => this.#told(() => this.#noteAnswered(answered)),
        onGap: () => this.#lose(),
      });
      this.#watch = watch;
      const { path } = watch;
      if (path.by === "thread") return;
      logger.warn("no thread answers misses", { reason: path.reason });
    };
    this.#isDeaf = !this.#succeeds(UNHEARD, open);
  }

  /** Nothing that is told may be thrown at who tells it. */
  #told(work: () => void): void {
    if (this.#watch === null) return;
    if (!this.#succeeds(UNTAKEN, work)) this.#hush();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      await sleep(clock, TICK_MS, signal);
      if (signal.aborted || this.#backend() === null) continue;
      if (this.#adopted && !this.#mayPrepare) {
        this.#mayPrepare = true;
        this.serve();
      }
      this.#retry();
      try {
        this.#age();
      } catch (error) {
        logger.warn("idle entries not looked for", { reason: String(error) });
      }
      await this.#speak();
    }
    this.#stop();
  }

  /** The next plan may be far. */
  #retry(): void {
    this.#isDeaf = false;
    const isDue = this.problem() !== null || this.#unheard || !this.#adopted;
    if (isDue && this.#deps.mayAnswer()) this.follow();
  }

  #backend(): VxlanBackend | null {
    return onDemand(this.#deps.tail.state().config);
  }

  #stop(): void {
    this.#watch?.close();
    this.#watch = null;
    this.#prepared = new PreparedAnswers();
    this.#preparedSeq = -1;
    this.#mayPrepare = false;
    this.#adopted = false;
    this.#isDeaf = false;
    this.#failures.clear();
    this.held.drop(() => true);
  }

  /** What the kernel holds, whoever asked for it, stays until it is idle. */
  #adopt(state: Readonly<FabricState>, backend: VxlanBackend): void {
    const nowMs = this.#deps.clock.nowMs();
    // Until then nothing is removed.
    if (!this.#succeeds(UNREAD, () => this.#noteUses(state, backend, nowMs))) return;
    let usedMs = this.held.oldestMs(nowMs);
    for (const subnet of [...state.held.subnets].reverse()) {
      if (this.held.size >= backend.hotPeers) break;
      usedMs -= 1;
      if (!this.held.has(subnet)) this.held.use(subnet, usedMs);
    }
    this.#adopted = true;
  }

  /** Something was not told. */
  #lose(): void {
    const { clock, tail } = this.#deps;
    const backend = this.#backend();
    // Answers of the thread may be among it: until they are read nothing may go.
    if (backend !== null && this.#adopted && this.#watch?.path.by === "thread") {
      this.#adopted = false;
      if (clock.nowMs() >= this.#recoverAtMs) this.#adopt(tail.state(), backend);
    }
    this.#recover();
  }

  /**
   * Asks for whom the kernel waits, instead of being told. A flood makes gaps faster than that can
   * be read: then one of the next ticks does. What is held is left as it is: whoever asks for plans
   * all the time would otherwise keep it from ever being known.
   */
  #recover(): void {
    const { kernel, clock, mayAnswer } = this.#deps;
    const [backend, nowMs] = [this.#backend(), clock.nowMs()];
    this.#unheard = backend !== null;
    if (backend === null || nowMs < this.#recoverAtMs) return;
    if (mayAnswer()) {
      this.#unheard = !this.#succeeds(UNTAKEN, () => {
        for (const miss of kernel.pending(devicesOf(backend))) this.#hear(miss);
      });
    }
    const tookMs = clock.nowMs() - nowMs;
    this.#recoverAtMs = nowMs + Math.max(TICK_MS, tookMs * PAUSE_FACTOR);
  }

  #hear(miss: Miss): void {
    const { tail, node, clock, mayAnswer } = this.#deps;
    const backend = this.#backend();
    if (backend === null || !devicesOf(backend).includes(miss.dev)) return;
    if (!mayAnswer()) {
      this.#unheard = true;
      return;
    }
    const startMs = clock.nowMs();
    const found = answerFor(tail.state(), node, miss.dev, miss.ip);
    if (found === null) this.#refuse(miss, startMs);
    else this.#answer(found, miss, startMs);
  }

  #answer(found: PeerEntries, miss: Miss, startMs: number): void {
    const { kernel, clock } = this.#deps;
    const { neigh, fdb } = found;
    // The queued packet leaves as soon as the neighbour is there: by then its way must be known.
    const outcomes = kernel.answer([
      { verb: "set", noun: "fdb", key: keyOf.fdb(fdb), object: fdb, found: null },
      { verb: "set", noun: "neigh", key: keyOf.neigh(neigh), object: neigh, found: null },
    ]);
    const waitedUs = Math.round((clock.nowMs() - startMs + miss.sinceMs) * 1000);
    this.#hold(
      found,
      waitedUs,
      outcomes.every(({ ok }) => ok),
    );
  }

  #hold({ subnet }: PeerEntries, waitedUs: number, ok: boolean): void {
    const { clock, onAnswered, onUnfinished } = this.#deps;
    this.held.use(subnet, clock.nowMs());
    if (!ok) {
      onUnfinished();
      return;
    }
    this.#journal.answered(subnet, waitedUs);
    onAnswered();
  }

  #noteAnswered({ dev, ip, waitedUs, ok }: Answered): void {
    const { tail, node, onUnfinished } = this.#deps;
    const found = answerFor(tail.state(), node, dev, ip);
    // Nobody's any more: it was prepared before the log moved on.
    if (found === null) onUnfinished();
    else this.#hold(found, waitedUs, ok);
  }

  /** Without the neighbour the kernel tells the sender at once that there is no way. */
  #refuse({ dev, ip }: Miss, nowMs: number): void {
    this.#journal.unknown(ip);
    if (!this.#limiter.take(ip, nowMs)) return;
    const object = { dev, ip, mac: null, permanent: false, protocol: PROTOCOL };
    const key = keyOf.neigh(object);
    const removal: Answer = { verb: "del", noun: "neigh", key, object, found: object };
    this.#deps.kernel.answer([removal]);
  }

  #age(): void {
    const { clock, tail, mayRemove, onUnfinished } = this.#deps;
    const [backend, nowMs] = [this.#backend(), clock.nowMs()];
    if (backend === null || !this.#adopted || !mayRemove() || nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + this.#idleMs / LOOKS;
    this.#noteUses(tail.state(), backend, nowMs);
    const ageing = { idleMs: this.#idleMs, keep: backend.hotPeers, most: AGED_AT_ONCE };
    const aged = this.held.age(nowMs, ageing);
    if (aged.length === 0) return;
    if (aged.length === AGED_AT_ONCE) this.#lookAtMs = nowMs;
    onUnfinished();
  }

  #noteUses(state: Readonly<FabricState>, backend: VxlanBackend, nowMs: number): void {
    const { kernel, node } = this.#deps;
    for (const { dev, ip, idleMs } of kernel.uses(devicesOf(backend))) {
      const found = answerFor(state, node, dev, ip);
      if (found !== null) this.held.use(found.subnet, nowMs - idleMs);
    }
  }

  async #speak(): Promise<void> {
    const { tail, node, speaker, maySpeak } = this.#deps;
    const { caughtUp, connected, damage } = tail.view();
    // A log that is not trusted is not written to either.
    if (!this.#adopted || !caughtUp || !connected || damage !== null || !maySpeak()) return;
    // The last look may have shown answers of the thread before it told of them.
    this.#watch?.drain();
    const state = tail.state();
    const peerOf = (subnet: Cidr) => holderOf(state, node, subnet);
    const draft = this.#journal.next(this.held.subnets(), state.held.subnets, peerOf);
    if (draft === null) return;
    const said = await speaker.say(draft);
    if (said.ok) this.#journal.published(draft);
  }
}

function devicesOf({ vni }: VxlanBackend): readonly string[] {
  return [deviceName(vni, "ipv4"), deviceName(vni, "ipv6")];
}
