// Addresses of devices against RTM_*ADDR.

import { addr } from "../ffi/netlink/addr.ts";
import {
  AF_INET,
  AF_UNSPEC,
  IFA_F_NODAD,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../ffi/netlink/constants.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import { afOf, ipText, ipToBytes, splitPrefix } from "./kernel-netlink-text.ts";
import type { Addr } from "./kernel-state.ts";

export function observeAddrs(socket: NetlinkSocket, dev: string, index: number): Addr[] {
  const payload = addr.encode({ family: AF_UNSPEC, index }, {});
  return socket.dump({ type: RTM_GETADDR, flags: 0, payload }, (reply) => {
    const { header, attrs } = addr.read(reply);
    // IFA_ADDRESS is the peer on a point-to-point IPv4 address; IFA_LOCAL is ours.
    const bytes = attrs.IFA_LOCAL ?? attrs.IFA_ADDRESS;
    if (header.index !== index || bytes === undefined) return null;
    return { dev, address: `${ipText(bytes)}/${header.prefixlen}` };
  });
}

export function addrRequest(verb: "set" | "del", object: Addr, index: number): Request {
  const { ip, length } = splitPrefix(object.address);
  const family = afOf(ip);
  const bytes = ipToBytes(ip);
  // IFA_F_NODAD: the address follows from the lease, and must be usable at once.
  const flags = verb === "set" && family !== AF_INET ? IFA_F_NODAD : 0;
  const payload = addr.encode(
    { family, prefixlen: length, flags, index },
    { IFA_LOCAL: bytes, IFA_ADDRESS: bytes },
  );
  if (verb === "del") return { type: RTM_DELADDR, flags: 0, payload };
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}
