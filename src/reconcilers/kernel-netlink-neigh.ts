// Permanent neighbours against RTM_*NEIGH. Observed are entries that are permanent or carry our
// protocol and are usable; what the kernel learns, probes or keeps for multicast is not reported.

import {
  AF_UNSPEC,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../ffi/netlink/constants.ts";
import { neigh } from "../ffi/netlink/neigh.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import { afOf, ipText, ipToBytes, macText, macToBytes } from "./kernel-netlink-text.ts";
import { type Neigh, PROTOCOL } from "./kernel-state.ts";

const UNUSABLE = NUD_FAILED | NUD_INCOMPLETE | NUD_NOARP;
const RTN_UNICAST = 1;

export function observeNeighs(socket: NetlinkSocket, dev: string, index: number): Neigh[] {
  const payload = neigh.encode({ family: AF_UNSPEC }, { NDA_IFINDEX: index });
  return socket.dump({ type: RTM_GETNEIGH, flags: 0, payload }, (reply) => {
    const { header, attrs } = neigh.read(reply);
    const permanent = (header.state & NUD_PERMANENT) !== 0;
    const protocol = attrs.NDA_PROTOCOL ?? 0;
    if (header.index !== index || attrs.NDA_DST === undefined) return null;
    if (!permanent && (protocol !== PROTOCOL || isUnusable(header.state))) return null;
    const mac = attrs.NDA_LLADDR === undefined ? null : macText(attrs.NDA_LLADDR);
    return { dev, ip: ipText(attrs.NDA_DST), mac, permanent, protocol };
  });
}

/** State 0 is NUD_NONE: an entry that the kernel is about to drop. */
function isUnusable(state: number): boolean {
  return state === 0 || (state & UNUSABLE) !== 0;
}

export function neighRequest(verb: "set" | "del", object: Neigh, index: number): Request {
  const family = afOf(object.ip);
  const dst = ipToBytes(object.ip);
  if (verb === "del") {
    return {
      type: RTM_DELNEIGH,
      flags: 0,
      payload: neigh.encode({ family, index }, { NDA_DST: dst }),
    };
  }
  const payload = neigh.encode(
    { family, index, state: NUD_PERMANENT, type: RTN_UNICAST },
    {
      NDA_DST: dst,
      NDA_LLADDR: object.mac === null ? undefined : macToBytes(object.mac),
      NDA_PROTOCOL: PROTOCOL,
    },
  );
  return { type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}
