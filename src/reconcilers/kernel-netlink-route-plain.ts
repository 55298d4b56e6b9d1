// Reads a route as we make it, in one pass over its bytes and without an object per attribute: a
// host of 10 000 peers reads back as many after it set them, before anything is compiled. Whatever
// says more, or says it differently, is left to the general reader in kernel-netlink-route.ts.

import type { Cidr, Ip } from "../events/address.ts";
import {
  AF_INET,
  RT_SCOPE_UNIVERSE,
  RTN_UNICAST,
  RTNH_F_ONLINK,
} from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { route, rtmsg } from "../ffi/netlink/route.ts";
import { isOurId } from "./kernel-netlink-nexthop.ts";
import { PROTOCOL, type Route } from "./kernel-state.ts";

/** An IPv4 route of ours with one gateway, and its device by index. */
export interface PlainRoute {
  readonly dst: Cidr;
  readonly via: Ip;
  readonly oif: number;
  readonly onlink: boolean;
  readonly metric: number;
  /** Its gateway and device are those of a nexthop object. */
  readonly shared: boolean;
}

export function plainRoute({ dst, via, onlink, metric }: PlainRoute, dev: string): Route {
  return { dst, via, dev, onlink, metric, protocol: PROTOCOL, extra: null };
}

const FIELD = rtmsg.at;
const NUMBER = route.numbers;
/** Of an attribute that holds four bytes, header included. */
const WORD = 8;

/** Null for any other route. */
export function plainRouteOf({ input, at: start, end }: Frame): PlainRoute | null {
  const { bytes, view } = input;
  if (bytes[start + FIELD.family] !== AF_INET || bytes[start + FIELD.protocol] !== PROTOCOL) {
    return null;
  }
  if (bytes[start + FIELD.type] !== RTN_UNICAST || bytes[start + FIELD.tos] !== 0) return null;
  if (bytes[start + FIELD.scope] !== RT_SCOPE_UNIVERSE || bytes[start + FIELD.src_len] !== 0) {
    return null;
  }
  let dst = 0;
  let via = 0;
  let oif = 0;
  let metric = 0;
  let nhid = 0;
  for (let at = start + rtmsg.size; at < end; at += WORD) {
    if (view.getUint16(at, true) !== WORD) return null;
    switch (view.getUint16(at + 2, true)) {
      case NUMBER.RTA_DST:
        dst = view.getUint32(at + 4);
        break;
      case NUMBER.RTA_GATEWAY:
        via = view.getUint32(at + 4);
        break;
      case NUMBER.RTA_OIF:
        oif = view.getUint32(at + 4, true);
        break;
      case NUMBER.RTA_PRIORITY:
        metric = view.getUint32(at + 4, true);
        break;
      case NUMBER.RTA_NH_ID:
        nhid = view.getUint32(at + 4, true);
        break;
      case NUMBER.RTA_TABLE:
        break;
      default:
        return null;
    }
  }
  if (dst === 0 || via === 0 || oif === 0 || (nhid !== 0 && !isOurId(nhid))) return null;
  return {
    dst: `${quad(dst)}/${bytes[start + FIELD.dst_len]}`,
    via: quad(via),
    oif,
    onlink: (view.getUint32(start + FIELD.flags, true) & RTNH_F_ONLINK) !== 0,
    metric,
    shared: nhid !== 0,
  };
}

function quad(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}
