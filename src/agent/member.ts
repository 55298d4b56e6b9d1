// What a node announces about itself, from the fabric's configuration and the host's underlay.

import type { Ip } from "../events/address.ts";
import type { Member } from "../events/event.ts";
import { type FabricConfig, underlayFamilies } from "../events/network-config.ts";
import { vtepMac } from "../events/vtep-mac.ts";
import type { Underlay } from "./underlay.ts";

export interface Identity {
  readonly fabric: string;
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly ipMasq: boolean;
  readonly publicIp: Ip | null;
  readonly publicIpv6: Ip | null;
}

/** No IP packet is larger; the loopback takes one byte more. */
const MTU_MAX = 65_535;

/** `capabilities` are the packet path's, which only the udp backend has. */
export function memberOf(
  config: FabricConfig,
  underlay: Underlay,
  self: Identity,
  capabilities: readonly string[],
): Member {
  const tunnels = config.backend.type === "vxlan";
  const { fabric, node } = self;
  const families = underlayFamilies(config);
  const [four, six] = [families.includes("ipv4"), families.includes("ipv6")];
  return {
    node,
    instance: self.instance,
    publicIp: four ? (self.publicIp ?? underlay.local) : null,
    publicIpv6: six ? (self.publicIpv6 ?? underlay.localv6) : null,
    vtepMac: tunnels && four ? vtepMac(fabric, node, "ipv4") : null,
    vtepMacV6: tunnels && six ? vtepMac(fabric, node, "ipv6") : null,
    backend: config.backend.type,
    underlay: {
      dev: underlay.dev,
      mtu: Math.min(underlay.mtu, MTU_MAX),
      local: underlay.local,
      localv6: underlay.localv6,
      onlink: underlay.onlink.slice(0, 64),
    },
    ipMasq: self.ipMasq,
    capabilities: config.backend.type === "udp" ? [...capabilities] : [],
    version: self.version,
  };
}

/** True when the announced facts are still the present ones. */
export function sameMember(a: Member, b: Member): boolean {
  return JSON.stringify(facts(a)) === JSON.stringify(facts(b));
}

/** The fields of a Member in one order, without what the fold adds to a Node. */
function facts(m: Member): readonly unknown[] {
  const { dev, mtu, local, localv6, onlink } = m.underlay;
  return [
    m.node,
    m.instance,
    m.publicIp,
    m.publicIpv6,
    m.vtepMac,
    m.vtepMacV6,
    m.backend,
    [dev, mtu, local, localv6, onlink],
    m.ipMasq,
    m.capabilities,
    m.version,
  ];
}
