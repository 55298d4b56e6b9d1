// The plan for one host at one sequence: what its kernel shall hold, for whom, and what cannot be
// done. Built by desired.ts from the folded log alone, consumed by the loop, by `heddle plan` and
// by status.

import type { Cidr, Ip } from "../events/address.ts";
import type { Scope } from "./kernel.ts";
import type { KernelState } from "./kernel-state.ts";

/** "on-miss": by the tunnel, with entries once the kernel asks for them. */
export const PEER_PATHS = ["vxlan", "on-miss", "direct", "host-gw", "udp", "none"] as const;
export type PeerPath = (typeof PEER_PATHS)[number];

export interface PeerPlan {
  /** Node name, or `peer:<name>` for a foreign peer. */
  readonly node: string;
  readonly subnets: readonly Cidr[];
  readonly publicIp: Ip | null;
  readonly path: PeerPath;
  /** Why nothing (or not everything) is planned for this peer; one line, or null. */
  readonly error: string | null;
}

export interface Plan {
  readonly fabric: string;
  readonly node: string;
  readonly seq: number;
  readonly kernel: KernelState;
  readonly scope: Scope;
  readonly peers: readonly PeerPlan[];
  /** `<noun> <key>` of an object to the peer it serves; objects of the host itself are absent. */
  readonly servedBy: Pick<ReadonlyMap<string, string>, "get" | "size">;
  /** Contents of subnet.env, or null while the host has no lease. */
  readonly subnetEnv: string | null;
  /** Name and MTU of the tunnel device, or of the underlay for routed backends. */
  readonly device: { readonly name: string; readonly mtu: number } | null;
  /** What concerns the host as a whole and needs a person; one line each. */
  readonly problems: readonly string[];
}
