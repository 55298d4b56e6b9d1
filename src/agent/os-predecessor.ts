// The agent that runs in this network namespace already, for one that takes over from it: which
// process it is, what its tunnel has open, how it is ended.
//
// Nothing is asked of it. It is found by the socket that it holds (os-host.ts), its descriptors are
// read from /proc and duplicated with pidfd_getfd(2), and SIGTERM ends every agent quietly: so one
// of another version, or one that hangs, is taken over like any other, and one whose successor
// dies half-way has noticed nothing.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Clock, sleep } from "../events/clock.ts";
import {
  AF_UNIX,
  close,
  connectUnix,
  ECONNREFUSED,
  NativeError,
  peerPid,
  pidfdEnded,
  pidfdGetfd,
  pidfdOpen,
  pidfdSendSignal,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../ffi/libc.ts";
import type { Logger } from "./logger.ts";
import { HOST_SOCKET, HostTaken } from "./os-host.ts";

export interface Descriptors {
  readonly tun: readonly number[];
  readonly udp: readonly number[];
}

export interface Predecessor {
  readonly pid: number;
  /** Duplicates of what its tunnel has open, now the caller's. */
  readonly fds: Descriptors;
  /** Resolves when it is gone. */
  end(clock: Clock, logger: Logger): Promise<void>;
}

const ESRCH = 3;
const SIGKILL = 9;
const SIGTERM = 15;
/** A last word to the log takes milliseconds, and seconds when the log is away. */
const END_MS = 5000;
const LOOK_MS = 2;

/** Null when no agent runs here. Throws HostTaken when one does that cannot be reached. */
export function findPredecessor(logger: Logger): Predecessor | null {
  const pid = holderOf(HOST_SOCKET);
  if (pid === null) return null;
  if (pid === 0) throw new HostTaken("the agent that runs here is in another pid namespace");
  const pidfd = openProcess(pid);
  if (pidfd === null) return null;
  return {
    pid,
    fds: descriptorsOf(pid, pidfd, logger),
    end: (...args) => end(pid, pidfd, ...args),
  };
}

function holderOf(path: string): number | null {
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  try {
    connectUnix(fd, path);
    return peerPid(fd);
  } catch (error) {
    if (error instanceof NativeError && error.errno === ECONNREFUSED) return null;
    throw error;
  } finally {
    close(fd);
  }
}

/** Null when it has ended since it was asked for. */
function openProcess(pid: number): number | null {
  try {
    return pidfdOpen(pid);
  } catch (error) {
    if (error instanceof NativeError && error.errno === ESRCH) return null;
    throw error;
  }
}

function descriptorsOf(pid: number, pidfd: number, logger: Logger): Descriptors {
  const found: { tun: number[]; udp: number[] } = { tun: [], udp: [] };
  try {
    const unconnected = unconnectedUdp(pid);
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      const target = targetOf(`/proc/${pid}/fd/${name}`);
      const kind = target === "/dev/net/tun" ? "tun" : unconnected.has(target) ? "udp" : null;
      if (kind !== null) found[kind].push(pidfdGetfd(pidfd, Number(name)));
    }
  } catch (error) {
    // Packets are lost then, but the takeover is still what was asked for.
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn("the tunnel's descriptors cannot be taken over", { pid, reason });
  }
  return found;
}

/** Sockets as links in /proc name them. A connected one asks a name server, or the like. */
function unconnectedUdp(pid: number): Set<string> {
  const rows = ["udp", "udp6"].flatMap((file) =>
    readFileSync(`/proc/${pid}/net/${file}`, "utf8").trim().split("\n").slice(1),
  );
  const fields = rows.map((row) => row.trim().split(/\s+/));
  const open = fields.filter(([, , remote = ""]) => /^0+:0000$/.test(remote));
  return new Set(open.map((row) => `socket:[${row[9]}]`));
}

/** "" for a descriptor that was closed since the directory was read. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

async function end(pid: number, pidfd: number, clock: Clock, logger: Logger): Promise<void> {
  try {
    if (await endedBy(SIGTERM, pidfd, clock)) return;
    logger.warn("the agent before this one does not end: killed", { pid });
    if (await endedBy(SIGKILL, pidfd, clock)) return;
    throw new HostTaken(`the agent before this one (pid ${pid}) cannot be ended`);
  } finally {
    close(pidfd);
  }
}

async function endedBy(signal: number, pidfd: number, clock: Clock): Promise<boolean> {
  if (pidfdEnded(pidfd)) return true;
  pidfdSendSignal(pidfd, signal);
  const untilMs = clock.nowMs() + END_MS;
  while (!pidfdEnded(pidfd)) {
    if (clock.nowMs() >= untilMs) return false;
    await sleep(clock, LOOK_MS);
  }
  return true;
}
