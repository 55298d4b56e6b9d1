// Nexthop objects, which make many per-peer gateways cheap. Plain `via` routes on one device share
// one hash chain in the kernel (fib_info_hash leaves the gateway out): the N-th costs O(N), 5000
// took 296 ms and 20,000 took 4.4 s, against 20 ms and 86 ms through nexthop objects. Up to LIMIT
// gateways on a device routes are plain, exactly as flannel makes them. Objects carry our protocol;
// no other is ever changed. Nothing is remembered about objects: the kernel drops them with the
// device, so each batch reads them anew.

import type { Ip } from "../events/address.ts";
import { putU32 } from "../ffi/layout.ts";
import {
  AF_INET,
  AF_UNSPEC,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_DELNEXTHOP,
  RTM_GETNEXTHOP,
  RTM_NEWNEXTHOP,
  RTNH_F_ONLINK,
} from "../ffi/netlink/constants.ts";
import { nexthop } from "../ffi/netlink/nexthop.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import type { RouteMessage } from "./kernel-netlink-route.ts";
import { ipText, putIpv4 } from "./kernel-netlink-text.ts";
import { PROTOCOL } from "./kernel-state.ts";

/** IPv4 gateways on one device above which new routes go through nexthop objects. */
export const LIMIT = 256;

export interface Nexthop {
  readonly id: number;
  readonly via: string | null;
  readonly oif: number | undefined;
  readonly onlink: boolean;
  readonly protocol: number;
}

export function dumpNexthops(socket: NetlinkSocket, oif?: number): Map<number, Nexthop> {
  const payload = nexthop.encode({ family: AF_UNSPEC }, { NHA_OIF: oif });
  const found = socket.dump(
    { type: RTM_GETNEXTHOP, flags: 0, payload },
    (reply): Nexthop | null => {
      const { header, attrs } = nexthop.read(reply);
      if (attrs.NHA_ID === undefined) return null;
      return {
        id: attrs.NHA_ID,
        via: attrs.NHA_GATEWAY === undefined ? null : ipText(attrs.NHA_GATEWAY),
        oif: attrs.NHA_OIF,
        onlink: (header.flags & RTNH_F_ONLINK) !== 0,
        protocol: header.protocol,
      };
    },
  );
  return new Map(found.map((object) => [object.id, object]));
}

/** 104 << 24: far from the small numbers that people and the kernel's own choice use. */
const FIRST_ID = PROTOCOL * 0x1000000;

/** Of an object that was made here, to be told from others without asking for it. */
export function isOurId(id: number): boolean {
  return Math.floor(id / 0x1000000) === PROTOCOL;
}

/** Finds or makes the object for a gateway, for one batch of routes. */
export class NexthopAllocator {
  readonly #taken: ReadonlyMap<number, Nexthop>;
  readonly #byGateway = new Map<string, number>();
  #next = FIRST_ID;

  constructor(socket: NetlinkSocket) {
    this.#taken = dumpNexthops(socket);
    for (const object of this.#taken.values()) {
      if (object.protocol === PROTOCOL) this.#byGateway.set(keyOf(object), object.id);
    }
  }

  /** The id to route through, and the request that makes the object when there is none yet. */
  idFor(
    via: Ip,
    oif: number,
    onlink: boolean,
  ): { readonly id: number; readonly request: Request | null } {
    const key = keyOf({ via, oif, onlink });
    const known = this.#byGateway.get(key);
    if (known !== undefined) return { id: known, request: null };
    while (this.#taken.has(this.#next)) this.#next += 1;
    const id = this.#next;
    this.#next += 1;
    this.#byGateway.set(key, id);
    return { id, request: creation(id, via, oif, onlink) };
  }
}

function keyOf({ via, oif, onlink }: Pick<Nexthop, "via" | "oif" | "onlink">): string {
  return `${oif} ${via} ${onlink}`;
}

const CREATION = nexthop.pattern(
  { family: AF_INET, protocol: PROTOCOL },
  { NHA_ID: 0, NHA_OIF: 0, NHA_GATEWAY: new Uint8Array(4) },
);

function creation(id: number, via: string, oif: number, onlink: boolean): Request {
  const payload = CREATION.bytes.slice();
  const { flags, NHA_ID, NHA_OIF, NHA_GATEWAY } = CREATION.at;
  putU32(payload, flags, onlink ? RTNH_F_ONLINK : 0);
  putU32(payload, NHA_ID, id);
  putU32(payload, NHA_OIF, oif);
  putIpv4(payload, NHA_GATEWAY, via);
  return { type: RTM_NEWNEXTHOP, flags: NLM_F_CREATE | NLM_F_EXCL, payload };
}

/** RTM_DELNEXTHOP accepts nothing but NHA_ID. Removing an object removes the routes through it. */
function removal(id: number): Request {
  return { type: RTM_DELNEXTHOP, flags: 0, payload: nexthop.encode({}, { NHA_ID: id }) };
}

/** Removals of our objects that no route goes through; routes are read only if we have any. */
export function unusedNexthops(
  socket: NetlinkSocket,
  dumpRoutes: () => readonly RouteMessage[],
): Request[] {
  const ours = ourIds(dumpNexthops(socket));
  if (ours.size === 0) return [];
  for (const { attrs } of dumpRoutes()) ours.delete(attrs.RTA_NH_ID ?? 0);
  return Array.from(ours, removal);
}

/** Removals of all our objects on a device, which make removing the device itself cheap. */
export function nexthopsOf(socket: NetlinkSocket, oif: number): Request[] {
  return Array.from(ourIds(dumpNexthops(socket, oif)), removal);
}

function ourIds(objects: ReadonlyMap<number, Nexthop>): Set<number> {
  const ids = new Set<number>();
  for (const { id, protocol } of objects.values()) if (protocol === PROTOCOL) ids.add(id);
  return ids;
}
