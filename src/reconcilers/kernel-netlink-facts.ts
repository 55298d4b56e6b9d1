// What the choice of underlay needs to know of a host: devices, addresses, default routes and
// directly connected prefixes, and the kernel's own answer to "which way to X".

import type { Ip } from "../events/address.ts";
import { bitsOf, familyOf } from "../events/address.ts";
import { addr } from "../ffi/netlink/addr.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_PERMANENT,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_UP,
  RT_SCOPE_LINK,
  RTEXT_FILTER_SKIP_STATS,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTN_UNICAST,
} from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import { link } from "../ffi/netlink/link.ts";
import { route } from "../ffi/netlink/route.ts";
import type { NetlinkSocket } from "../ffi/netlink/socket.ts";
import type { HostDevice, HostFacts } from "./kernel.ts";
import { Devices } from "./kernel-netlink-dev.ts";
import { ANY_BUT_OURS, dumpWhere, nexthopsFor, routeOf } from "./kernel-netlink-route.ts";
import { afOf, ipText, ipToBytes, macText } from "./kernel-netlink-text.ts";
import type { Route } from "./kernel-state.ts";

export function readFacts(socket: NetlinkSocket): HostFacts {
  const devices = new Devices(socket);
  const messages = [AF_INET, AF_INET6].flatMap((family) =>
    dumpWhere(socket, family, ANY_BUT_OURS, undefined),
  );
  const nexthops = nexthopsFor(socket, messages);
  const routes = messages
    .filter(({ header }) => header.type === RTN_UNICAST)
    .map((message) => routeOf(message, devices, nexthops));
  return {
    devices: readDevices(socket),
    defaultDevs: { ipv4: defaults(routes, "0.0.0.0/0"), ipv6: defaults(routes, "::/0") },
    onlink: routes
      .filter((found) => found.via === null && found.dev !== "" && !found.dst.startsWith("fe80:"))
      .filter((found) => !found.dst.endsWith("/0"))
      .map(({ dev, dst }) => ({ dev, prefix: dst })),
  };
}

function defaults(routes: readonly Route[], dst: string): string[] {
  const found = routes.filter((item) => item.dst === dst && item.dev !== "");
  found.sort((a, b) => a.metric - b.metric);
  return Array.from(new Set(found.map((item) => item.dev)));
}

function readDevices(socket: NetlinkSocket): HostDevice[] {
  const addresses = readAddresses(socket);
  const payload = link.encode({}, { IFLA_EXT_MASK: RTEXT_FILTER_SKIP_STATS });
  return socket.dump({ type: RTM_GETLINK, flags: 0, payload }, (reply) => {
    const { header, attrs } = link.read(reply);
    return {
      name: attrs.IFLA_IFNAME ?? "",
      index: header.index,
      kind: attrs.IFLA_LINKINFO?.IFLA_INFO_KIND ?? null,
      mtu: attrs.IFLA_MTU ?? 0,
      up: (header.flags & IFF_UP) !== 0,
      mac: attrs.IFLA_ADDRESS?.length === 6 ? macText(attrs.IFLA_ADDRESS) : null,
      alias: attrs.IFLA_IFALIAS ?? null,
      addresses: addresses.get(header.index) ?? [],
    };
  });
}

const UNUSABLE = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED;

/** Usable addresses by device, best first. */
function readAddresses(socket: NetlinkSocket): Map<number, string[]> {
  const payload = addr.encode({ family: AF_UNSPEC }, {});
  const found = socket.dump({ type: RTM_GETADDR, flags: 0, payload }, (reply) => {
    const { header, attrs } = addr.read(reply);
    const bytes = attrs.IFA_LOCAL ?? attrs.IFA_ADDRESS;
    const flags = attrs.IFA_FLAGS ?? header.flags;
    if (bytes === undefined || header.scope >= RT_SCOPE_LINK || (flags & UNUSABLE) !== 0)
      return null;
    return {
      index: header.index,
      address: `${ipText(bytes)}/${header.prefixlen}`,
      rank: rank(flags),
    };
  });
  found.sort((a, b) => a.rank - b.rank);
  const byDevice = new Map<number, string[]>();
  for (const { index, address } of found) {
    byDevice.set(index, [...(byDevice.get(index) ?? []), address]);
  }
  return byDevice;
}

/** Permanent before leased ones; temporary IPv6 and secondary IPv4 addresses (one bit) last. */
function rank(flags: number): number {
  return ((flags & IFA_F_TEMPORARY) !== 0 ? 2 : 0) + ((flags & IFA_F_PERMANENT) !== 0 ? 0 : 1);
}

/** ENETUNREACH, EHOSTUNREACH; EINVAL and EACCES stand for blackhole and prohibit routes. */
const NO_ROUTE: ReadonlySet<number> = new Set([101, 113, 22, 13]);

export function routeTo(socket: NetlinkSocket, ip: Ip): string | null {
  const header = { family: afOf(ip), dst_len: bitsOf(familyOf(ip)) };
  const payload = route.encode(header, { RTA_DST: ipToBytes(ip) });
  try {
    const reply = route.read(socket.get({ type: RTM_GETROUTE, flags: 0, payload }));
    const oif = reply.attrs.RTA_OIF;
    return oif === undefined ? null : new Devices(socket).nameOf(oif);
  } catch (error) {
    if (error instanceof NetlinkError && NO_ROUTE.has(error.errno)) return null;
    throw error;
  }
}
