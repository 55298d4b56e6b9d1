// Goes on from the table that the last process kept (tunnel-file.ts), and only if everything is as
// it was: program, command line, HEDDLE_* environment, host name, boot and namespace, a device with
// our mark; and if no other agent holds the host. Nothing is made, and the programs in the kernel
// are left as they are.

import { Tunnel } from "../ffi/tunnel.ts";
import { tunnelOptions, tunnelPeers } from "../reconcilers/kernel-tunnel-options.ts";
import { aliasOf } from "../reconcilers/link.ts";
import { instanceId, lockHost } from "./os-host.ts";
import { type KeptFor, type KeptTable, readTable } from "./tunnel-file.ts";

export interface EarlyTunnel extends KeptTable {
  /** Carries already; its programs in the kernel are not started. */
  readonly tunnel: Tunnel;
  readonly lock: { release(): void };
}

/** Throws HostTaken, which the usual start says too, and what the file or the packet path throw. */
export function openKeptTunnel(
  world: Omit<KeptFor, "instance">,
  stateDir: string,
): EarlyTunnel | null {
  const lock = lockHost();
  let opened: EarlyTunnel | null = null;
  try {
    const kept = readTable(stateDir, { ...world, instance: instanceId() });
    if (kept !== null && Tunnel.aliasOf(kept.link.name) === aliasOf(kept.fabric)) {
      opened = { ...kept, lock, tunnel: carrying(kept) };
    }
  } finally {
    if (opened === null) lock.release();
  }
  return opened;
}

function carrying({ link, peers }: KeptTable): Tunnel {
  const tunnel = Tunnel.open(tunnelOptions(link, null));
  try {
    tunnel.setPeers(tunnelPeers(peers), link.tun?.subnets ?? []);
    tunnel.resume();
  } catch (error) {
    tunnel.close();
    throw error;
  }
  return tunnel;
}
