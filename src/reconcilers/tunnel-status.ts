// What a host says about its userspace tunnel: part of `heddle status --json`.

import type { Ip } from "../events/address.ts";

export interface TunnelFeatureStatus {
  readonly name: string;
  readonly on: boolean;
  /** Why it is off: "not wanted", or the kernel's errno by name; null while it is on. */
  readonly reason: string | null;
}

export interface TunnelPeerStatus {
  readonly name: string;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly rxBytes: number;
}

export interface TunnelStatus {
  readonly device: string;
  readonly port: number;
  readonly listen: readonly Ip[];
  readonly features: readonly TunnelFeatureStatus[];
  /** All counters by name; those with `drop` in it count packets that were not delivered. */
  readonly counters: Readonly<Record<string, number>>;
  readonly peers: readonly TunnelPeerStatus[];
}

/** What the agent asks of the packet path, beside what the kernel port tells. */
export interface TunnelView {
  /** What this host's packet path understands beyond the plain format; null while it is closed. */
  capabilities(): readonly string[] | null;
  status(): TunnelStatus | null;
}
