// What an agent says about itself: the shape of `heddle status --json`, which others script
// against.

import type { Cidr, Ip } from "../events/address.ts";
import type { PeerPath } from "../reconcilers/plan.ts";
import type { TunnelStatus } from "../reconcilers/tunnel-status.ts";
import type { MissStatus } from "./on-demand.ts";

export type AgentPhase = "starting" | "ready" | "degraded" | "frozen" | "stopping";

export interface PeerStatus {
  readonly node: string;
  readonly subnets: readonly Cidr[];
  readonly publicIp: Ip | null;
  readonly path: PeerPath;
  readonly state: "applied" | "pending" | "failed";
  readonly error: string | null;
}

export interface AgentStatus {
  readonly node: string;
  readonly fabric: string;
  /** Which kernel this agent manages; tells two agents of one name apart. */
  readonly instance: string;
  readonly state: AgentPhase;
  /** One line each: why the agent is not ready, or what needs a person. */
  readonly problems: readonly string[];
  readonly seq: { readonly applied: number; readonly head: number };
  readonly lease: {
    readonly subnets: readonly Cidr[];
    readonly epoch: number;
    readonly renewedAt: string;
    readonly expiresAt: string;
  } | null;
  readonly backend: {
    readonly type: string;
    readonly device: string;
    readonly mtu: number;
  } | null;
  readonly peers: readonly PeerStatus[];
  readonly drift: { readonly healed: number; readonly pending: number };
  readonly log: {
    readonly server: string | null;
    readonly connected: boolean;
    /** Why the host changes nothing until the log is good again, or null. */
    readonly frozen: string | null;
  };
  /** Records that the fold refused, over the whole log. */
  readonly quarantined: number;
  readonly version: string;
  /** Only with the udp backend, while its tunnel is open. */
  readonly tunnel?: TunnelStatus;
  /** Only with Backend.Mode on-miss and hybrid. */
  readonly misses?: MissStatus;
}

/** What may be asked many times a second while a host starts: nothing of each peer. */
export type Health = Pick<AgentStatus, "state" | "problems">;

/** What a host shows on the status board: its status, with its peers counted instead of listed. */
export interface BoardEntry extends Omit<AgentStatus, "peers" | "tunnel" | "misses"> {
  readonly peers: { readonly [S in PeerStatus["state"]]: number };
}
