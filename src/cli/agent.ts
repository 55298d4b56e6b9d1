// heddle agent: flags to settings, the embedded nats-server if asked for, the socket, signals. What
// the agent does is src/agent; this file only starts it and waits for its end.

import { join } from "node:path";
import type { Logger } from "../agent/logger.ts";
import type { UnderlayBy } from "../agent/underlay.ts";
import { parseIp } from "../events/address.ts";
import { isNodeName, nameToken } from "../events/name.ts";
import { SocketError, type SocketServer, serveAgentSocket } from "../http/agent-socket.ts";
import type { TcpOptions, TcpServer } from "../http/tcp-server.ts";
import { logOptions } from "./connection.ts";
import type { AgentSettings, Deps, EmbeddedServer, RunningAgent } from "./deps.ts";
import { EXIT_FAILED, EXIT_UNREACHABLE, Failure, misuse } from "./failure.ts";
import type { HttpFlags, LogFlags, NodeFlag } from "./flags.ts";
import { httpOptions } from "./http-options.ts";
import { type LogFormat, type LogLevel, openLogger } from "./logging.ts";
import { socketPath, stateDir, subnetFile } from "./paths.ts";
import { requireNetAdmin } from "./privilege.ts";

interface AgentFlags extends LogFlags, NodeFlag, HttpFlags {
  readonly iface?: string;
  readonly canReach?: string;
  readonly publicIp?: string;
  readonly publicIpv6?: string;
  readonly stateDir?: string;
  readonly socket?: string;
  readonly subnetFile?: string;
  readonly ipMasq?: boolean;
  readonly leaseTtl?: number;
  readonly leaseRenewMargin?: number;
  readonly embeddedNats?: string | true;
  readonly takeover?: boolean;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

const EMBEDDED_LISTEN = "127.0.0.1:4222";
const TTL_SECONDS = 86_400;
const MARGIN_SECONDS = 3600;

export async function agent(deps: Deps, flags: AgentFlags): Promise<number> {
  const settings = settingsOf(deps, flags);
  const listen = listenOf(flags);
  requireNetAdmin(deps);
  const { logLevel: level = "info", logFormat: format = "human" } = flags;
  const fixed = { node: settings.node, fabric: flags.fabric };
  const logger = openLogger(deps.out, { level, format, fixed });
  const server = await embeddedServer(deps, flags, settings.stateDir);
  if (server !== null)
    logger.info("nats-server started", { url: server.url, version: server.version });
  const log = server === null ? settings.log : { ...settings.log, servers: server.url };
  let socket: SocketServer | null = null;
  let tcp: TcpServer | null = null;
  try {
    const running = await deps.startAgent({ ...settings, log }, logger);
    try {
      socket = await openSocket(running, socketPath(flags));
      if (listen !== null) tcp = await openPort(deps, running, listen, logger);
      return await untilEnd(deps, running, server);
    } finally {
      await tcp?.close();
      await running.stop();
    }
  } finally {
    await server?.stop();
    // Last: whoever sees it gone may take it that nothing of us writes to this host any more.
    await socket?.close();
  }
}

async function openSocket(running: RunningAgent, path: string): Promise<SocketServer> {
  try {
    return await serveAgentSocket(appOnDemand(running), path);
  } catch (error) {
    if (!(error instanceof SocketError)) throw error;
    throw new Failure(EXIT_FAILED, error.message, { cause: error });
  }
}

/** Throws ListenError. */
async function openPort(
  { clock, wallMs }: Deps,
  running: RunningAgent,
  listen: TcpOptions,
  logger: Logger,
): Promise<TcpServer> {
  const { createAgentTcpApp } = await import("../http/agent-tcp-app.ts");
  const { serveTcp } = await import("../http/tcp-server.ts");
  const server = serveTcp(createAgentTcpApp(running, { clock, wallMs }), listen);
  logger.info("listening", { url: server.url });
  return server;
}

/** Null when only the unix socket is to be served. Throws Failure. */
function listenOf(flags: AgentFlags): TcpOptions | null {
  if (flags.http !== undefined) return httpOptions(flags);
  const lone = (["httpTlsCert", "httpTlsKey"] as const).find((name) => flags[name] !== undefined);
  if (lone === undefined) return null;
  throw misuse(`--http-tls-${lone === "httpTlsCert" ? "cert" : "key"}`, "expected --http too");
}

/** Made at the first request: nobody asks an agent anything before it has done its first work. */
function appOnDemand(running: RunningAgent): Parameters<typeof serveAgentSocket>[0] {
  let made: ReturnType<typeof make> | null = null;
  async function make() {
    const { createAgentApp } = await import("../http/agent-app.ts");
    return createAgentApp(running);
  }
  return {
    async fetch(request) {
      made ??= make();
      return (await made).fetch(request);
    },
  };
}

async function untilEnd(
  deps: Deps,
  running: RunningAgent,
  server: EmbeddedServer | null,
): Promise<number> {
  const forget = deps.onSignal(() => void running.stop());
  // Without an embedded server this never resolves.
  const lost = server?.exited ?? new Promise<never>(() => undefined);
  const end = await Promise.race([running.done, lost.then(serverLost)]);
  if (end.reason !== null) deps.out.note(`heddle: ${end.reason}`);
  forget();
  return end.code;
}

function serverLost(end: { readonly lastLine: string }): { code: number; reason: string } {
  return { code: EXIT_UNREACHABLE, reason: `the embedded nats-server ended: ${end.lastLine}` };
}

async function embeddedServer(
  deps: Deps,
  flags: AgentFlags,
  dir: string,
): Promise<EmbeddedServer | null> {
  if (flags.embeddedNats === undefined) return null;
  const listen = flags.embeddedNats === true ? EMBEDDED_LISTEN : flags.embeddedNats;
  return await deps.startNatsServer({ storeDir: join(dir, "nats"), listen });
}

function settingsOf(deps: Deps, flags: AgentFlags): AgentSettings {
  const node = flags.node ?? deps.hostName;
  if (!isNodeName(node)) {
    throw misuse(`host name ${JSON.stringify(node)}`, "is no node name: give one with --node");
  }
  return {
    log: {
      ...logOptions(flags),
      keepTrying: true,
      name: `heddle agent ${node}`,
      // Of its own, so that the server can keep hosts from reading each other's replies.
      inboxPrefix: `_INBOX_${nameToken(node)}`,
    },
    stateDir: stateDir(flags),
    subnetFile: subnetFile(flags),
    node,
    underlay: underlayOf(flags),
    publicIp: flags.publicIp ?? null,
    publicIpv6: flags.publicIpv6 ?? null,
    ipMasq: flags.ipMasq ?? false,
    takeover: flags.takeover ?? false,
    ...leaseTimes(flags),
  };
}

function underlayOf({ iface, canReach }: AgentFlags): UnderlayBy {
  if (canReach !== undefined) {
    if (iface === undefined) return { by: "reach", ip: canReach };
    throw misuse("--can-reach", "cannot be combined with --iface");
  }
  if (iface === undefined) return { by: "default-route" };
  const ip = parseIp(iface);
  if (ip !== null) return { by: "address", ip };
  if (!/^\/.+\/$/.test(iface)) return { by: "name", name: iface };
  try {
    return { by: "pattern", pattern: new RegExp(iface.slice(1, -1)) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw misuse(`--iface ${iface}`, `expected a regular expression: ${reason}`);
  }
}

function leaseTimes(flags: AgentFlags): { ttlSeconds: number; marginSeconds: number } {
  const ttlSeconds = flags.leaseTtl ?? TTL_SECONDS;
  const marginSeconds = flags.leaseRenewMargin ?? usualMargin(ttlSeconds);
  if (marginSeconds >= ttlSeconds) {
    const expected = `expected less than the lease's ${ttlSeconds} s`;
    throw misuse(`--lease-renew-margin ${marginSeconds}`, expected);
  }
  return { ttlSeconds, marginSeconds };
}

/**
 * A 24th of the lease as in flannel; of short ones more, so that a renewal may fail and be
 * repeated.
 */
export function usualMargin(ttlSeconds: number): number {
  const margin = Math.max(ttlSeconds / 24, Math.min(ttlSeconds / 3, 30));
  return Math.max(1, Math.floor(Math.min(MARGIN_SECONDS, margin)));
}
