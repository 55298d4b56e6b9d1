// heddle status: what the agent of this host says about itself. Health problems come first, because
// that is what the reader came for.

import type { AgentStatus } from "../agent/status.ts";
import { sleep } from "../events/clock.ts";
import { askAgent } from "./agent-client.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, Failure } from "./failure.ts";
import { missLine } from "./miss-lines.ts";
import { socketPath } from "./paths.ts";
import { cell, tableLines } from "./table.ts";
import { tunnelLines } from "./tunnel-lines.ts";

interface StatusFlags {
  readonly fabric: string;
  readonly socket?: string;
  readonly wait?: number | true;
  readonly json?: boolean;
  readonly brief?: boolean;
  readonly watch?: boolean;
}

const WAIT_MS = 60_000;
const LOOK_MS = 100;
/** Whoever waits longer is told for what. */
const TELL_MS = 1500;

export async function status(deps: Deps, flags: StatusFlags): Promise<number> {
  const socket = socketPath(flags);
  if (flags.watch) {
    const line = flags.json ? (found: AgentStatus) => JSON.stringify(found) : brief;
    return await (await import("./status-watch.ts")).watchStatus(deps, socket, {
      full: flags.json || flags.brief ? (found) => [line(found)] : statusLines,
      line,
    });
  }
  const found = await lookUntil(deps, socket, waitMs(flags));
  if (flags.json) deps.out.json(found);
  else if (flags.brief) deps.out.line(brief(found));
  else for (const line of statusLines(found)) deps.out.line(line);
  return found.state === "ready" ? EXIT_OK : EXIT_FAILED;
}

function waitMs(flags: StatusFlags): number {
  if (flags.wait === undefined) return 0;
  return flags.wait === true ? WAIT_MS : flags.wait;
}

/** The first status that is ready, or the last one before the time is up. */
async function lookUntil(deps: Deps, socket: string, ms: number): Promise<AgentStatus> {
  const startMs = deps.clock.nowMs();
  const untilMs = startMs + ms;
  let told: string | undefined;
  const tell = (reason: string): void => {
    if (reason === told) return;
    if (deps.clock.nowMs() - startMs < TELL_MS) return;
    deps.out.note(`heddle: waiting: ${reason}`);
    told = reason;
  };
  for (;;) {
    const last = deps.clock.nowMs() >= untilMs;
    try {
      const found = await askAgent<AgentStatus>(socket, "GET", "/v1/status");
      if (last || found.state === "ready") return found;
      tell(found.problems[0] ?? `the agent is ${found.state}`);
    } catch (error) {
      const away = error instanceof Failure && error.exitCode === EXIT_UNREACHABLE;
      if (last || !away) throw error;
      tell(error.message);
    }
    await sleep(deps.clock, LOOK_MS);
  }
}

function brief(found: AgentStatus): string {
  const { node, state, seq, lease, peers, problems } = found;
  const applied = peers.filter((peer) => peer.state === "applied").length;
  const parts = [
    `${node} ${state}`,
    `seq ${seq.applied}/${seq.head}`,
    `lease ${cell(lease?.subnets.join(","))}`,
    `peers ${applied}/${peers.length}`,
  ];
  const [first] = problems;
  return first === undefined ? parts.join(", ") : `${parts.join(", ")}: ${first}`;
}

export function statusLines(found: AgentStatus): readonly string[] {
  const { lease, backend, drift, log } = found;
  const health = found.problems.map((problem) => `! ${problem}`);
  const server = log.server === null ? "no server seen yet" : `nats-server ${log.server}`;
  const connected = log.connected ? "connected" : "not connected";
  const self = [
    ["node", `${found.node} (fabric ${found.fabric}, heddle ${found.version})`],
    ["state", found.state],
    ["sequence", `${found.seq.applied} applied, ${found.seq.head} in the log`],
    [
      "lease",
      lease === null
        ? "none"
        : `${lease.subnets.join(" ")} epoch ${lease.epoch}, until ${lease.expiresAt}`,
    ],
    ["backend", backend === null ? "-" : `${backend.type} ${backend.device} mtu ${backend.mtu}`],
    ["log", `${server}, ${connected}${log.frozen === null ? "" : `, frozen: ${log.frozen}`}`],
    ["drift", `${drift.healed} healed, ${drift.pending} pending`],
    ["quarantine", `${found.quarantined} records`],
  ].map(([name = "", value = ""]) => `${name.padEnd(11)} ${value}`);
  if (found.misses !== undefined) self.push(missLine(found.misses));
  if (found.tunnel !== undefined) self.push(...tunnelLines(found.tunnel));
  return [...health, ...(health.length === 0 ? [] : [""]), ...self, ...peerLines(found)];
}

/** A line for each peer; what passed to and from it only the userspace tunnel counts. */
function peerLines({ peers, tunnel }: AgentStatus): readonly string[] {
  if (peers.length === 0) return [];
  const traffic = new Map(tunnel?.peers.map((peer) => [peer.name, peer]));
  const counted = (sent: string, received: string) =>
    tunnel === undefined ? [] : [sent, received];
  const rows = peers.map((peer) => [
    peer.node,
    cell(peer.subnets.join(",")),
    cell(peer.publicIp),
    peer.path,
    ...counted(
      cell(traffic.get(peer.node)?.txPackets.toString()),
      cell(traffic.get(peer.node)?.rxPackets.toString()),
    ),
    peer.state,
    peer.error ?? "",
  ]);
  const columns = ["PEER", "SUBNETS", "PUBLIC IP", "PATH", ...counted("SENT", "RECEIVED")];
  return ["", ...tableLines([...columns, "STATE", "ERROR"], rows)];
}
