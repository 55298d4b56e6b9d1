// Checks of the agent and of the log.

import type { LogConnection } from "../events/log-jetstream.ts";
import { formatDuration, isoTime } from "../events/point.ts";
import type { Deps } from "./deps.ts";
import { type Check, type Findings, fail, ok, warn } from "./doctor-check.ts";
import { knownFailure } from "./failure.ts";

export function agentChecks({ status }: Findings, trouble: string | null): readonly Check[] {
  if (status === null) {
    const advice = "start it: heddle agent; or name its socket with --socket";
    return [fail("agent-reachable", trouble ?? "no answer", advice)];
  }
  return [ok("agent-reachable", `${status.node}, heddle ${status.version}`), agentState(status)];
}

function agentState(status: NonNullable<Findings["status"]>): Check {
  const name = "agent-state";
  const said = [status.state, ...status.problems].join("; ");
  switch (status.state) {
    case "ready":
      return ok(name, said);
    case "frozen":
      return fail(name, said, "restore the log, or accept it as it is: heddle resume");
    case "degraded":
      return fail(name, said, "see heddle status for what cannot be done");
    case "starting":
    case "stopping":
      return warn(name, said, "wait for it: heddle status --wait");
  }
}

export function logUnreachable(message: string): Check {
  return fail("log-reachable", message, "check --nats, credentials and the server");
}

export async function logChecks(
  deps: Deps,
  connection: LogConnection,
  findings: Findings,
): Promise<readonly Check[]> {
  const { log, state, status } = findings;
  if (log === null || state === null) return [];
  return [
    ok("log-reachable", `nats-server ${log.server}, ${log.lastSeq} records`),
    await streamSettings(connection),
    quarantine(state.quarantine),
    configured(findings),
    lag(status, log.lastSeq),
    await clockSkew(deps, connection),
  ];
}

async function streamSettings(connection: LogConnection): Promise<Check> {
  const name = "log-streams";
  try {
    // Both exist, so this only compares: it makes a stream that is missing.
    await connection.status.list();
    await connection.createStream(1);
    return ok(name, "both streams are as they must be");
  } catch (error) {
    const known = knownFailure(error);
    if (known === null) throw error;
    return fail(name, known.message, "a log must keep every record: correct the stream's settings");
  }
}

function quarantine({ count, recent }: NonNullable<Findings["state"]>["quarantine"]): Check {
  const name = "log-quarantine";
  if (count === 0) return ok(name, "no record was refused");
  const last = recent.slice(-3).map(({ seq, reason }) => `${seq}: ${reason}`);
  const advice = "find who wrote them: heddle events; nothing else is affected";
  return warn(name, `${count} records refused, last ${last.join("; ")}`, advice);
}

function configured({ state, fabric }: Findings): Check {
  const name = "fabric-configured";
  if (state?.config != null) return ok(name, `since sequence ${state.configSeq}`);
  return fail(name, `fabric ${fabric} has no configuration`, "heddle init --config FILE");
}

function lag(status: Findings["status"], lastSeq: number): Check {
  const name = "agent-lag";
  if (status === null) return ok(name, "not measured: no agent");
  const behind = lastSeq - status.seq.applied;
  if (behind <= 0) return ok(name, `sequence ${status.seq.applied} is applied`);
  const advice = "ask again; if it stays, see heddle status";
  return warn(name, `${behind} records behind the log's ${lastSeq}`, advice);
}

const SKEW_MS = 2000;
const BEAT_MS = 3000;

/** The stamp of an entry that arrives now is the server's time now; agents beat every 2 s. */
async function clockSkew(deps: Deps, { status }: LogConnection): Promise<Check> {
  const name = "clock-skew";
  const known = new Map((await status.list()).map((entry) => [entry.node, entry.timeMs]));
  const stop = new AbortController();
  const cancel = deps.clock.after(BEAT_MS, () => stop.abort());
  try {
    for await (const entry of status.watch(stop.signal)) {
      if (known.get(entry.node) === entry.timeMs) continue;
      return judgeSkew(name, deps.wallMs(), entry.timeMs);
    }
  } finally {
    cancel();
    stop.abort();
  }
  return ok(name, "not measured: no live agent");
}

function judgeSkew(name: string, nowMs: number, serverMs: number): Check {
  const skewMs = nowMs - serverMs;
  const side = skewMs < 0 ? "behind" : "ahead of";
  const found = `this clock is ${formatDuration(Math.abs(skewMs))} ${side}`;
  if (Math.abs(skewMs) <= SKEW_MS) return ok(name, `${found} the log's`);
  const advice = "set the clock (NTP); leases use the log's time and are not affected";
  return warn(name, `${found} the log's (${isoTime(serverMs)})`, advice);
}
