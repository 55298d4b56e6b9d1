// The port to a host's kernel. Implementations: kernel-netlink.ts (the real one) and the model in
// test/support, both under one contract suite.

import type { Cidr, Ip, Mac } from "../events/address.ts";
import type { KernelState } from "./kernel-state.ts";
import type { Op, OpOutcome } from "./op.ts";

/** What to look at. Foreign objects outside it are never read. */
export interface Scope {
  /** Names of devices that are or were ours; their addresses, neighbours and FDB are read. */
  readonly links: readonly string[];
  /** Devices whose routes are read whatever their protocol (to see what displaced ours). */
  readonly routeDevs: readonly string[];
  /** Paths under /proc/sys. */
  readonly sysctls: readonly string[];
  /** nftables tables by key (`inet heddle_default`). */
  readonly rules: readonly string[];
}

/** A network device of the host as the choice of underlay sees it. */
export interface HostDevice {
  readonly name: string;
  readonly index: number;
  readonly kind: string | null;
  readonly mtu: number;
  readonly up: boolean;
  readonly mac: Mac | null;
  readonly alias: string | null;
  /** Usable addresses with prefix length, best first: global, permanent, not deprecated. */
  readonly addresses: readonly string[];
}

/** What decides the underlay: devices, default routes and directly connected prefixes. */
export interface HostFacts {
  readonly devices: readonly HostDevice[];
  /** Device names of the default routes, lowest metric first. */
  readonly defaultDevs: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
  /** Prefixes reachable without a gateway (scope link, main table), by device. */
  readonly onlink: readonly { readonly dev: string; readonly prefix: Cidr }[];
}

export interface Kernel {
  /** A consistent read of everything in scope; retries interrupted dumps. Throws NetlinkError. */
  observe(scope: Scope): Promise<KernelState>;
  /**
   * Applies ops in order, batched; one outcome per op, in the same order. Never throws for an op.
   */
  apply(ops: readonly Op[]): Promise<readonly OpOutcome[]>;
  /** Calls back when anything but ourselves changed the kernel, or when changes were missed. */
  watch(onChange: () => void): Watch;
  facts(): Promise<HostFacts>;
  /** Device the kernel would use to reach `ip`, or null when there is no route. */
  routeTo(ip: Ip): Promise<string | null>;
}

export interface Watch {
  close(): void;
}
