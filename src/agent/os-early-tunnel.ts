// The packet path before everything else: an agent that starts where one was killed carries its
// packets before the command line, the log's client or a schema is loaded. It goes on from the
// table that the last process kept (tunnel-file.ts), and only if everything is as it was:
// program, command line, HEDDLE_* environment, host name, boot and namespace, a device with our
// mark; and if no other agent holds the host. Nothing is made, and the programs in the kernel are
// left as they are. In doubt nothing is opened: the start as it always is (early-tunnel.ts) says
// what is wrong.

import { Tunnel } from "../ffi/tunnel.ts";
import { tunnelOptions, tunnelPeers } from "../reconcilers/kernel-tunnel-options.ts";
import { aliasOf } from "../reconcilers/link.ts";
import { HostTaken, instanceId, lockHost } from "./os-host.ts";
import { type KeptFor, type KeptTable, readTable } from "./tunnel-file.ts";

export interface EarlyTunnel extends KeptTable {
  /** Carries already; its programs in the kernel are not started. */
  readonly tunnel: Tunnel;
  readonly lock: { release(): void };
}

type EarlyWorld = Omit<KeptFor, "instance">;

/** Flags with which nothing is to go on, or the packets wait for us anyway. */
const NOT_EARLY = ["--takeover", "--help", "-h"];

/**
 * For `heddle agent`. Null when there is nothing to go on with; a line that says why when that is
 * not as it should.
 */
export function openKeptTunnel(world: EarlyWorld): EarlyTunnel | string | null {
  const { argv, env } = world;
  if (NOT_EARLY.some((flag) => argv.includes(flag))) return null;
  // A service manager kept the descriptors, and the packets in them.
  if (env.LISTEN_FDS !== undefined) return null;
  try {
    return openLocked(world);
  } catch (error) {
    // Nothing depends on it but time, and the start as it always is meets the same trouble.
    if (error instanceof HostTaken) return null;
    return error instanceof Error ? error.message : String(error);
  }
}

/** Throws HostTaken, which the usual start says too, and what the file or the packet path throw. */
function openLocked(world: EarlyWorld): EarlyTunnel | null {
  const lock = lockHost();
  let opened: EarlyTunnel | null = null;
  try {
    const kept = readTable(stateDirOf(world), { ...world, instance: instanceId() });
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

/**
 * Where the file must be, unless flags say otherwise in a way that is not understood here: then
 * nothing is found, or something that was kept for another command line.
 */
function stateDirOf({ argv, env }: EarlyWorld): string {
  const flag = (name: string): string | undefined => {
    const long = `--${name}`;
    const at = argv.findIndex((word) => word === long || word.startsWith(`${long}=`));
    const word = argv[at];
    const given = word === long ? argv[at + 1] : word?.slice(long.length + 1);
    return given ?? env[`HEDDLE_${name.toUpperCase().replaceAll("-", "_")}`];
  };
  return flag("state-dir") ?? `/var/lib/heddle/${flag("fabric") ?? "default"}`;
}
