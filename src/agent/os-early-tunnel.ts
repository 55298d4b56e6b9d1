// The packet path before everything else: an agent that starts where one was killed carries its
// packets before the command line, the log's client or a schema is loaded. Whether there is
// anything to go on with is known from one file's existence, so that a host without a tunnel loads
// nothing for it. In doubt nothing is opened: the start as it always is (early-tunnel.ts) says what
// is wrong.

import { HostTaken } from "./os-host.ts";
import type { EarlyTunnel } from "./os-kept-tunnel.ts";
import { hasTable, type KeptFor } from "./tunnel-file.ts";

type EarlyWorld = Omit<KeptFor, "instance">;

/** Flags with which nothing is to go on, or the packets wait for us anyway. */
const NOT_EARLY = ["--takeover", "--help", "-h"];

/**
 * For `heddle agent`. Null when there is nothing to go on with; a line that says why when that is
 * not as it should.
 */
export async function openTunnelAtOnce(world: EarlyWorld): Promise<EarlyTunnel | string | null> {
  const { argv, env } = world;
  if (NOT_EARLY.some((flag) => argv.includes(flag))) return null;
  // A service manager kept the descriptors, and the packets in them.
  if (env.LISTEN_FDS !== undefined) return null;
  try {
    const stateDir = stateDirOf(world);
    if (!hasTable(stateDir)) return null;
    return (await import("./os-kept-tunnel.ts")).openKeptTunnel(world, stateDir);
  } catch (error) {
    // Nothing depends on it but time, and the start as it always is meets the same trouble.
    if (error instanceof HostTaken) return null;
    return error instanceof Error ? error.message : String(error);
  }
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
