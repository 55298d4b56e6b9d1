// Which notifications about neighbours and forwarding entries tell of nothing that is ever read
// here: what a learning device learns, moves and ages out by itself, the neighbours that the kernel
// finds by ARP and ND on such a device, and the table of a bridge that our device is a port of. In
// a busy segment these come many times a second, and each would be a look at the whole kernel.

import {
  AF_BRIDGE,
  NTF_SELF,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import { macText } from "./kernel-netlink-text.ts";
import { ANY_MAC, type KernelState } from "./kernel-state.ts";

/** MAC addresses whose entries somebody configured, by index of the learning device. */
export type Configured = ReadonlyMap<number, ReadonlySet<string>>;

export function configuredOn(
  { links, fdb }: KernelState,
  indexOf: (dev: string) => number | null,
): Configured {
  const configured = new Map<number, Set<string>>();
  for (const { name, learning } of links.values()) {
    const index = learning ? indexOf(name) : null;
    // The zero MAC is never learnt (vxlan_snoop takes unicast addresses only).
    if (index !== null) configured.set(index, new Set([ANY_MAC]));
  }
  if (configured.size === 0) return configured;
  for (const { dev, mac } of fdb.values()) configured.get(indexOf(dev) ?? 0)?.add(mac);
  return configured;
}

export function isLearnt(frame: Frame, configured: Configured): boolean {
  const { type, input, at, end } = frame;
  if (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH) return false;
  const { family, index, state, flags } = ndmsg.read(input, at, end);
  if (family === AF_BRIDGE && (flags & NTF_SELF) === 0) return true;
  const macs = configured.get(index);
  if (macs === undefined || (state & NUD_PERMANENT) !== 0) return false;
  const { NDA_LLADDR, NDA_PROTOCOL } = neigh.read(frame).attrs;
  if (family !== AF_BRIDGE) return NDA_PROTOCOL === undefined;
  return NDA_LLADDR !== undefined && !macs.has(macText(NDA_LLADDR));
}
