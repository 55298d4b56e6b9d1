// What an open tunnel says, in the words of the log and of status; and why none could be opened.

import type { Tunnel, TunnelFeature } from "../ffi/tunnel.ts";
import { errnoName } from "./errno.ts";
import type { Link } from "./kernel-state.ts";
import type { TunnelStatus } from "./tunnel-status.ts";

const EINVAL = 22;

export function statusOf(
  { name, port, tun }: Link,
  tunnel: Pick<Tunnel, "features" | "counters">,
): TunnelStatus {
  const { total, peers } = tunnel.counters();
  return {
    device: name,
    port,
    listen: tun?.listen ?? [],
    features: tunnel.features().map((feature) => ({
      name: feature.name,
      on: feature.on,
      reason: reasonOf(feature),
    })),
    counters: total,
    peers: Array.from(peers, ([peer, counters]) => ({ name: peer, ...counters })),
  };
}

/** The kernel that brought what a feature needs: TUN_F_USO4, TCX. Older ones answer EINVAL. */
const SINCE: ReadonlyMap<string, string> = new Map([
  ["tun-uso", "6.2"],
  ["kernel-encap", "6.6"],
  ["kernel-decap", "6.6"],
]);

function reasonOf({ name, on, wanted, errno }: TunnelFeature): string | null {
  if (on) return null;
  if (!wanted) return "not wanted";
  if (errno === null) return "needs another feature";
  const since = errno === EINVAL ? SINCE.get(name) : undefined;
  return since === undefined ? errnoName(errno) : `EINVAL, as before Linux ${since}`;
}

/** One line that a person can act on. */
export function closedReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // The paths that were tried help nobody who installed the program as it comes.
  if (isNotBuilt(error)) {
    return "the packet path is not built: run npm run build:native";
  }
  return text.replaceAll(/\s*\n\s*/g, "; ");
}

export function isNotBuilt(error: unknown): boolean {
  return error instanceof Error && error.message.includes("library is not built");
}
