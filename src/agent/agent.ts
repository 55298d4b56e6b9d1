// One host's agent: the tail feeds the fold, the fold feeds the plan, the loop makes the kernel
// follow the plan, and the keeper says in the log what the host has to say. This file connects them
// and keeps what only the whole can know; when the host may act, and when it may remove, is in
// planner.ts.

import type { Cidr } from "../events/address.ts";
import { decide } from "../events/decide.ts";
import type { FabricState } from "../events/state.ts";
import { createLoop, type Loop, type Round } from "../reconcilers/loop.ts";
import type { Plan } from "../reconcilers/plan.ts";
import type { Agent, AgentDeps, AgentEnd, AgentOptions } from "./agent-deps.ts";
import type { Found } from "./found.ts";
import { createHeartbeat, type Heartbeat } from "./heartbeat.ts";
import { createHostWatch, type HostWatch } from "./host-watch.ts";
import { createKeep, type Keep } from "./keep.ts";
import type { Self } from "./keeper.ts";
import { createLogNews, type LogNews } from "./log-news.ts";
import { watchStart } from "./offline-start.ts";
import { OnDemand } from "./on-demand.ts";
import { type CountedKernel, countOps, type OpCounts } from "./op-counts.ts";
import { createOthers } from "./others.ts";
import { Planner } from "./planner.ts";
import { createProblemLog, type ProblemLog } from "./problem-log.ts";
import { Progress } from "./progress.ts";
import { createReporter, type Reporter } from "./reporter.ts";
import { runReporting } from "./reporting.ts";
import { createSnapshotKeeper, loadSnapshot, type SnapshotKeeper } from "./snapshot-keeper.ts";
import { createSpeaker, type Speaker } from "./speaker.ts";
import type { AgentStatus, Health } from "./status.ts";
import { boardEntryOf, statusOf } from "./status-view.ts";
import { createSubnetFile, type SubnetFile } from "./subnet-file.ts";
import { createTail, type Tail } from "./tail.ts";

export async function startAgent(deps: AgentDeps, options: AgentOptions): Promise<Agent> {
  const snapshot = await (deps.snapshot ?? loadSnapshot(deps, options.fabric, options.node));
  const agent = new HostAgent(deps, options, snapshot);
  agent.start();
  return agent;
}

type Snapshot = Awaited<ReturnType<typeof loadSnapshot>>;

class HostAgent implements Agent {
  private readonly ended = Promise.withResolvers<AgentEnd>();
  readonly done = this.ended.promise;
  private readonly deps: AgentDeps;
  private readonly options: AgentOptions;
  private readonly abort = new AbortController();
  private readonly hasSnapshot: boolean;

  private readonly tail: Tail;
  private readonly planner: Planner;
  private readonly speaker: Speaker;
  private readonly keep: Keep;
  private readonly host: HostWatch;
  private readonly loop: Loop;
  private readonly reporter: Reporter;
  private readonly logNews: LogNews;
  private readonly problemLog: ProblemLog;
  private readonly heartbeat: Heartbeat;
  private readonly snapshots: SnapshotKeeper;
  private readonly subnetFile: SubnetFile;
  private readonly progress: Progress;
  private readonly onDemand: OnDemand;
  private readonly counted: CountedKernel;
  private readonly wakeOthers: (later: boolean) => void;

  /** It left the fabric, or is about to. */
  private leaving = false;
  private ending = false;
  private muted: boolean;
  /** Subnets held when an operator gave up the log that knew of them. */
  private former: readonly Cidr[] = [];

  constructor(deps: AgentDeps, options: AgentOptions, snapshot: Snapshot) {
    const { log, clock, board, files, logger } = deps;
    this.counted = countOps(deps.kernel);
    const { kernel } = this.counted;
    this.deps = deps;
    this.options = options;
    this.hasSnapshot = snapshot !== null;
    this.muted = options.muted ?? false;
    this.speaker = createSpeaker({ log, clock, fabric: options.fabric, newId: deps.newId });
    this.tail = this.followLog(snapshot);
    this.planner = new Planner({
      tail: this.tail,
      clock,
      node: options.node,
      instance: options.instance,
      snapshot,
      stopping: () => this.stopping,
      onDemand: () => this.onDemand,
    });
    this.onDemand = this.answerMisses();
    this.host = createHostWatch({
      kernel,
      clock,
      identity: options,
      underlay: options.underlay,
      onChange: () => this.keep.wake(),
      onMoved: () => deps.redial?.(),
    });
    this.keep = this.keepName();
    this.loop = createLoop({
      kernel,
      clock,
      wanted: () => this.planner.wanted(),
      onRound: (round) => this.onRound(round),
    });
    this.reporter = createReporter(options.node);
    this.logNews = createLogNews(logger, (damage) => this.reporter.frozen(damage));
    this.problemLog = createProblemLog(logger);
    this.progress = this.followProgress();
    this.heartbeat = createHeartbeat({
      board,
      clock,
      entry: () => boardEntryOf(this.progress.parts()),
      mayShow: () => !this.muted && this.planner.ownsName(),
    });
    const disk = { files, clock, logger };
    this.snapshots = createSnapshotKeeper(disk, options.instance, () => this.progress.wasReady());
    this.subnetFile = this.keepFile();
    this.wakeOthers = createOthers(clock, [this.keep, this.snapshots, this.heartbeat]);
  }

  start(): void {
    const { signal } = this.abort;
    const parts = [
      this.tail.run(signal),
      this.host.run(signal),
      this.keep.run(signal),
      this.heartbeat.run(signal),
      this.snapshots.run(this.tail, signal),
      this.subnetFile.run(signal),
      this.report(signal),
      this.onDemand.run(signal),
      this.watchStart(signal),
    ];
    for (const part of parts) {
      // A part that throws is a bug in it: end with its words rather than live on half a body.
      part.catch((error: unknown) => this.end({ code: 1, reason: describeError(error) }));
    }
  }

  speak(): void {
    this.muted = false;
    this.wakeOthers(false);
  }

  status(): AgentStatus {
    const tunnel = this.deps.tunnel?.status() ?? null;
    const misses = this.onDemand.status();
    return {
      ...statusOf(this.progress.parts()),
      ...(tunnel === null ? {} : { tunnel }),
      ...(misses === null ? {} : { misses }),
    };
  }

  health(): Health {
    return this.progress.health();
  }

  found(): Found {
    return this.progress.found();
  }

  ops(): OpCounts {
    return this.counted.counts();
  }

  ready(): boolean {
    return this.progress.isReady();
  }

  state(): Readonly<FabricState> {
    return this.tail.state();
  }

  plan(): Plan | null {
    return this.planner.plan();
  }

  acceptLog(): boolean {
    if (this.tail.view().damage === null) return false;
    this.deps.logger.warn("log accepted by operator");
    const { leases, nodes } = this.tail.state();
    const { node } = this.options;
    this.former = leases.get(node)?.subnets ?? nodes.get(node)?.previous ?? this.former;
    this.planner.forget();
    this.progress.forget();
    this.tail.accept();
    return true;
  }

  async leave(reason: string): Promise<void> {
    const { node } = this.options;
    // From here on the keeper must not claim again what is being given up.
    this.leaving = true;
    const decision = decide(this.tail.state(), { type: "Leave", node, reason });
    if (!decision.ok) return;
    try {
      for (const draft of decision.events) {
        const said = await this.speaker.say(draft);
        if (!said.ok) throw new Error(said.reason);
      }
    } catch (error) {
      this.leaving = false;
      this.loop.wake();
      this.keep.wake();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.end({ code: 0, reason: null });
  }

  private get stopping(): boolean {
    return this.leaving || this.ending;
  }

  private self(): Omit<Self, "joined" | "followedForMs"> {
    const { node, instance, ttlSeconds, marginSeconds } = this.options;
    const { config, nodes } = this.tail.state();
    // While the tunnel is closed it is the next one that counts, which can do what the last could.
    const capabilities = this.deps.tunnel?.capabilities() ?? nodes.get(node)?.capabilities ?? [];
    const member =
      config === null ? { reason: "no configuration" } : this.host.member(config, capabilities);
    return { node, instance, member, former: this.former, ttlSeconds, marginSeconds };
  }

  private onLogChange(): void {
    const view = this.tail.view();
    this.deps.onBehind?.(view.head - view.seq);
    if (!this.logNews.tell(view)) return;
    this.progress.noteConnection(view.connected);
    // A burst of records during a round needs no plan for each.
    if (this.loop.busy() && this.planner.canWait()) this.loop.wake();
    else this.followPlan();
    this.wakeOthers(this.loop.busy());
  }

  private followPlan(): void {
    const before = this.planner.last();
    // By sequence: what the kernel was answered meanwhile is in it already.
    const planned = this.plan()?.seq;
    if (planned !== before?.seq || this.progress.roundSeq() !== planned) this.loop.wake();
    else this.progress.noteApplied();
    this.subnetFile.follow();
  }

  private onRound(round: Round): void {
    const { seq: planSeq, ops, clean, tookMs } = round;
    this.deps.logger.debug("round", { seq: planSeq, ops, clean, ms: Math.round(tookMs) });
    for (const item of round.drift) {
      const { noun, problem, found, wanted } = item;
      this.deps.logger.warn("drift healed", { noun, problem, found, wanted });
    }
    if (round.driftCount > 0) this.reporter.drift(round.drift, round.driftCount);
    this.progress.noteRound(round);
    this.subnetFile.follow();
    // A tunnel that was opened may be able to do what was not announced yet.
    if (this.deps.tunnel !== undefined) this.keep.wake();
    this.snapshots.wake();
    this.heartbeat.wake();
  }

  private answerMisses(): OnDemand {
    const { clock, logger, misses } = this.deps;
    const { node, idleMs } = this.options;
    return new OnDemand({
      kernel: misses,
      clock,
      logger,
      node,
      tail: this.tail,
      speaker: this.speaker,
      mayAnswer: () => this.planner.mayAnswer(),
      mayRemove: () => this.planner.plan() !== null && this.tail.view().caughtUp,
      maySpeak: () => !this.stopping && !this.muted && this.planner.ownsName(),
      onAnswered: () => this.loop.stale(),
      onUnfinished: () => {
        this.loop.stale();
        this.loop.wake();
      },
      ...(idleMs === undefined ? {} : { idleMs }),
    });
  }

  private followProgress(): Progress {
    const { deps, options, planner, tail, reporter } = this;
    return new Progress({
      clock: deps.clock,
      logger: deps.logger,
      identity: options,
      tail,
      planner,
      onDemand: () => this.onDemand,
      fileInPlace: () => this.subnetFile.inPlace(),
      stopping: () => this.stopping,
      healed: () => reporter.healed(),
      onApplied: deps.onApplied,
    });
  }

  private report(signal: AbortSignal): Promise<void> {
    const { tail, speaker, reporter, problemLog } = this;
    const reporting = {
      ...{ tail, speaker, reporter, problemLog },
      clock: this.deps.clock,
      problems: () => this.progress.problems(),
      wasReady: () => this.progress.wasReady(),
      maySpeak: () => !this.stopping && !this.muted && this.planner.ownsName(),
    };
    return runReporting(reporting, signal);
  }

  private followLog(snapshot: Snapshot): Tail {
    const { log, clock, logger } = this.deps;
    const { fabric, node } = this.options;
    return createTail({
      ...{ log, clock, fabric, node, snapshot },
      onFolded: (record, { verdict, event }) => {
        this.speaker.heard(record, verdict);
        if (verdict.kind === "quarantined") {
          const { reason } = verdict;
          logger.warn("record quarantined", { seq: record.seq, type: event?.type ?? null, reason });
        }
      },
      onChange: () => this.onLogChange(),
    });
  }

  private keepName(): Keep {
    const { clock, board } = this.deps;
    return createKeep({
      tail: this.tail,
      clock,
      speaker: this.speaker,
      board,
      self: () => this.self(),
      silent: () => this.stopping || this.muted,
      onProblem: (problem) => {
        this.progress.noteKeep(problem);
      },
      onEnd: (reason) => this.end({ code: 1, reason }),
    });
  }

  private keepFile(): SubnetFile {
    const { files, clock, logger } = this.deps;
    return createSubnetFile({
      files,
      clock,
      wanted: () => this.plan()?.subnetEnv ?? null,
      onDrift: (item) => {
        logger.warn("drift healed", { noun: item.noun, problem: item.problem });
        this.reporter.drift([item], 1);
      },
      onProblem: (problem) => {
        this.progress.noteFile(problem);
      },
    });
  }

  private watchStart(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.deps;
    const start = {
      clock,
      logger,
      hasSnapshot: this.hasSnapshot,
      view: () => this.tail.view(),
      onSnapshot: () => this.loop.wake(),
      onGiveUp: (reason: string) => this.end({ code: 3, reason }),
    };
    return watchStart(start, signal);
  }

  private async end(end: AgentEnd): Promise<void> {
    if (this.abort.signal.aborted) return;
    this.ending = true;
    await this.snapshots.flush(this.tail);
    await this.heartbeat.last();
    this.abort.abort();
    await this.loop.stop();
    this.ended.resolve(end);
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
