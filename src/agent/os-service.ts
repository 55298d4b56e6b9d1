// What a service manager does for us, as systemd defined it (sd_notify(3), sd_listen_fds(3)): it
// keeps the tunnel's descriptors from one process to the next, so that packets wait in them while
// none runs, and it is told when another process is the main one. Without a manager nothing
// happens.

import {
  AF_UNIX,
  close,
  closeOnExec,
  connectUnix,
  NativeError,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  sendWithFds,
  socket,
} from "../ffi/libc.ts";
import type { Logger } from "./logger.ts";
import type { Descriptors } from "./os-predecessor.ts";

export interface ServiceManager {
  /** What was kept from the process before. */
  readonly inherited: Descriptors;
  /** Keeps these, and only these, for the next process. */
  keep(fds: Descriptors | null): void;
  /** This process is the service's main one from now on. */
  claimMain(): void;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Passed descriptors begin after standard input, output and error. */
const FIRST_FD = 3;
const KINDS = ["tun", "udp"] as const;
const storeName = (kind: (typeof KINDS)[number]): string => `heddle-${kind}`;

export function serviceManager(env: Env, pid: number, logger: Logger): ServiceManager {
  const path = env.NOTIFY_SOCKET;
  const inherited = inheritedFrom(env, pid);
  let stored = inherited.tun.length + inherited.udp.length > 0;

  function send(state: string, fds: readonly number[] = []): void {
    if (path === undefined) return;
    try {
      notify(path, state, fds);
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      logger.warn("the service manager cannot be told", { state, reason: error.message });
    }
  }

  return {
    inherited,
    keep: (fds) => {
      // A queue of the device that nobody reads any more must not stay open.
      if (stored) for (const kind of KINDS) send(`FDSTOREREMOVE=1\nFDNAME=${storeName(kind)}`);
      stored = fds !== null;
      for (const kind of KINDS) {
        const open = fds?.[kind] ?? [];
        if (open.length > 0) send(`FDSTORE=1\nFDNAME=${storeName(kind)}`, open);
      }
    },
    claimMain: () => send(`MAINPID=${pid}`),
  };
}

function inheritedFrom(env: Env, pid: number): Descriptors {
  const found: Record<(typeof KINDS)[number], number[]> = { tun: [], udp: [] };
  if (env.LISTEN_PID !== String(pid)) return found;
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  for (let i = 0; i < Number(env.LISTEN_FDS ?? 0); i++) {
    const kind = KINDS.find((candidate) => storeName(candidate) === names[i]);
    if (kind === undefined) continue;
    // Not for the programs that we start.
    closeOnExec(FIRST_FD + i);
    found[kind].push(FIRST_FD + i);
  }
  return found;
}

function notify(path: string, state: string, fds: readonly number[]): void {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    connectUnix(fd, path);
    sendWithFds(fd, new TextEncoder().encode(state), fds);
  } finally {
    close(fd);
  }
}
