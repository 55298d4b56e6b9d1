// What this process must know of the host it runs on: which kernel it manages, and that it alone
// manages it.

import { readFileSync, statSync } from "node:fs";

/** One line: why this host cannot be managed by this process. */
export class HostTaken extends Error {
  override readonly name = "HostTaken";
}

/**
 * Names the kernel state under management: boot and network namespace. The same across a restart of
 * the agent, another one after a reboot or in another namespace. The number of a namespace may be
 * used again once it is gone, and with it the agent that ran there: no two that live share a name.
 */
export function instanceId(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot.slice(0, 13)}-${statSync("/proc/self/ns/net").ino}`;
}

/** Abstract; in /proc/net/unix it is shown like this. */
export const HOST_SOCKET = "@heddle-agent";

/**
 * Holds an abstract unix socket, which belongs to the network namespace and vanishes with the
 * process however it ends: one agent per namespace, and no lock file that outlives its owner.
 */
export function lockHost(): { release(): void } {
  try {
    const held = Bun.listen({ unix: HOST_SOCKET.replace("@", "\0"), socket: { data: refuseTalk } });
    held.unref();
    return { release: () => held.stop(true) };
  } catch (error) {
    // Only the code says it; the message names neither the errno nor the abstract name.
    const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    if (!taken) throw error;
    throw new HostTaken("another agent manages this network namespace already", { cause: error });
  }
}

/** Nobody has anything to say on this socket. */
function refuseTalk(socket: { end(): unknown }): void {
  socket.end();
}
