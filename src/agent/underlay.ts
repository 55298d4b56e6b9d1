// Which device and addresses carry the traffic between hosts. Pure: facts and flags in, a choice or
// a reason out. It is asked again whenever the host's devices, addresses or routes change, so that
// a renumbered underlay is followed and announced (flannel decides once, at start).

import { type Cidr, type Family, familyOf, type Ip } from "../events/address.ts";
import type { HostDevice, HostFacts } from "../reconcilers/kernel.ts";

/** How the underlay device is chosen: by default the one of the default route. */
export type UnderlayBy =
  | { readonly by: "default-route" }
  | { readonly by: "name"; readonly name: string }
  | { readonly by: "address"; readonly ip: Ip }
  | { readonly by: "pattern"; readonly pattern: RegExp }
  | { readonly by: "reach"; readonly ip: Ip };

export interface UnderlayFlags {
  readonly by: UnderlayBy;
  /** Device that leads to the address of `by: "reach"`; null when none does. */
  readonly reachDev: string | null;
  readonly publicIp: Ip | null;
  readonly publicIpv6: Ip | null;
}

export interface Underlay {
  readonly dev: string;
  readonly mtu: number;
  readonly local: Ip | null;
  readonly localv6: Ip | null;
  readonly onlink: readonly Cidr[];
}

export type UnderlayChoice =
  | { readonly ok: true; readonly underlay: Underlay }
  | { readonly ok: false; readonly reason: string };

export function chooseUnderlay(
  facts: HostFacts,
  flags: UnderlayFlags,
  families: readonly Family[],
): UnderlayChoice {
  const picked = pickDevice(facts, flags, families);
  if (!picked.ok) return picked;
  const { device } = picked;
  if (!device.up) return { ok: false, reason: `underlay device ${device.name} is down` };
  const wanted = picked.address;
  const local = sourceAddress(device, "ipv4", wanted);
  const localv6 = sourceAddress(device, "ipv6", wanted);
  for (const family of families) {
    if ((family === "ipv4" ? local : localv6) === null) {
      const name = family === "ipv4" ? "IPv4" : "IPv6";
      return { ok: false, reason: `underlay device ${device.name} has no ${name} address` };
    }
  }
  const onlink = facts.onlink.filter((on) => on.dev === device.name).map((on) => on.prefix);
  return {
    ok: true,
    underlay: { dev: device.name, mtu: device.mtu, local, localv6, onlink: [...onlink].sort() },
  };
}

type Picked =
  | { readonly ok: true; readonly device: HostDevice; readonly address: Ip | null }
  | { readonly ok: false; readonly reason: string };

function pickDevice(facts: HostFacts, flags: UnderlayFlags, families: readonly Family[]): Picked {
  const { by } = flags;
  switch (by.by) {
    case "name":
      return named(facts, by.name, "--iface");
    case "address":
      return withAddress(facts, by.ip, `--iface: no device has the address ${by.ip}`);
    case "pattern":
      return matching(facts, by.pattern);
    case "reach":
      if (flags.reachDev === null) return refuse(`--can-reach: no route to ${by.ip}`);
      return named(facts, flags.reachDev, "--can-reach");
    case "default-route":
      return byDefault(facts, flags, families[0] ?? "ipv4");
  }
}

/** As flannel does: the device that holds the public address, else that of the default route. */
function byDefault(facts: HostFacts, flags: UnderlayFlags, family: Family): Picked {
  const publicIp = flags.publicIp ?? flags.publicIpv6;
  if (publicIp !== null) {
    const holder = withAddress(facts, publicIp, "");
    if (holder.ok) return holder;
  }
  const name = facts.defaultDevs[family][0];
  if (name !== undefined) return named(facts, name, "the default route");
  return refuse("no default route: name the underlay device with --iface");
}

function withAddress(facts: HostFacts, ip: Ip, reason: string): Picked {
  const device = facts.devices.find((candidate) => holds(candidate, ip));
  return device === undefined ? refuse(reason) : { ok: true, device, address: ip };
}

/** Addresses first, then names; never one of our own devices, which carry the overlay. */
function matching(facts: HostFacts, pattern: RegExp): Picked {
  const candidates = facts.devices.filter((device) => device.alias?.startsWith("heddle ") !== true);
  for (const device of candidates) {
    const address = device.addresses.map(bare).find((candidate) => pattern.test(candidate));
    if (address !== undefined) return { ok: true, device, address };
  }
  const device = candidates.find((candidate) => pattern.test(candidate.name));
  if (device !== undefined) return { ok: true, device, address: null };
  return refuse(`--iface: no device or address matches ${pattern}`);
}

function named(facts: HostFacts, name: string, source: string): Picked {
  const device = facts.devices.find((candidate) => candidate.name === name);
  if (device !== undefined) return { ok: true, device, address: null };
  return refuse(`${source}: there is no device ${name}`);
}

function sourceAddress(device: HostDevice, family: Family, wanted: Ip | null): Ip | null {
  if (wanted !== null && familyOf(wanted) === family) return wanted;
  const addresses = device.addresses.map(bare);
  return addresses.find((address) => familyOf(address) === family) ?? null;
}

function holds(device: HostDevice, ip: Ip): boolean {
  return device.addresses.some((address) => bare(address) === ip);
}

function bare(address: string): Ip {
  return address.slice(0, address.indexOf("/"));
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
