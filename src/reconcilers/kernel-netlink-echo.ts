// Which notifications are echoes of our own changes although the kernel does not sign them with the
// port id of whoever made the change: those of vxlan's forwarding entries (vxlan_fdb_notify in
// drivers/net/vxlan/vxlan_core.c), and the second one of a removed neighbour
// (neigh_cleanup_and_release in net/core/neighbour.c). The content has to tell: an echo says
// exactly what we last asked for. Were it somebody else asking for the same, nothing would be
// different either.

import type { Ip, Mac } from "../events/address.ts";
import {
  AF_BRIDGE,
  NTF_SELF,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import type { BatchOp } from "./kernel-netlink-batch.ts";
import { ipText, macText } from "./kernel-netlink-text.ts";
import { ANY_MAC } from "./kernel-state.ts";

/**
 * An echo comes at once, but a process that shares two cores with fifty that start hears it seconds
 * later. What has not come by then will not (a change that changed nothing).
 */
const ECHO_MS = 5000;

/** One object, and what a notification about it says. */
interface Said {
  readonly about: string;
  readonly what: string;
}

export class Echoes {
  /** What was asked for last, by object; forgotten after one to two ECHO_MS. */
  #recent = new Map<string, string>();
  #older = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;

  expect(op: BatchOp, index: number): void {
    const said = saidOfOp(op, index);
    if (said === null) return;
    this.#recent.set(said.about, said.what);
    this.#timer ??= this.#forgetLater();
  }

  /** True for every watcher that gets the notification. */
  isEcho(frame: Frame): boolean {
    const { type } = frame;
    if (this.#timer === null || (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH)) return false;
    const said = saidOfFrame(frame);
    if (said === null) return false;
    return (this.#recent.get(said.about) ?? this.#older.get(said.about)) === said.what;
  }

  #forgetLater(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#older = this.#recent;
      this.#recent = new Map();
      this.#timer = this.#older.size === 0 ? null : this.#forgetLater();
    }, ECHO_MS);
    timer.unref();
    return timer;
  }
}

/**
 * Up to Linux 6.12 rtnetlink repeats what the driver has told of a forwarding entry that anybody
 * asked for, without its remote and as permanent whatever it is (rtnl_fdb_notify in
 * net/core/rtnetlink.c). The driver's own always says when the entry was last used.
 */
export function isRepetition(frame: Frame): boolean {
  const { type, input, at, end } = frame;
  if (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH) return false;
  const { family, flags } = ndmsg.read(input, at, end);
  if (family !== AF_BRIDGE || (flags & NTF_SELF) === 0) return false;
  return neigh.read(frame).attrs.NDA_CACHEINFO === undefined;
}

function saidOfOp(op: BatchOp, index: number): Said | null {
  const type = op.verb === "set" ? RTM_NEWNEIGH : RTM_DELNEIGH;
  if (op.noun === "fdb") return saidOfFdb(type, index, op.object.mac, op.object.dst);
  // Setting a neighbour is signed; all the same it ends the wait for the echo of a removal.
  return op.noun === "neigh" ? { about: `${index} ${op.object.ip}`, what: `${type}` } : null;
}

function saidOfFrame(frame: Frame): Said | null {
  const { type, input, at, end } = frame;
  const { family, index, state } = ndmsg.read(input, at, end);
  const { NDA_LLADDR, NDA_DST, NDA_PORT, NDA_VNI } = neigh.read(frame).attrs;
  if (NDA_DST === undefined) return null;
  // We make permanent entries of the device's own port and VNI only; somebody may have made one of
  // ours dynamic, or another one beside it.
  const other = (state & NUD_PERMANENT) === 0 || NDA_PORT !== undefined || NDA_VNI !== undefined;
  if (type === RTM_NEWNEIGH && other) return null;
  if (family !== AF_BRIDGE) {
    // Only the second notification of a removal is unsigned.
    if (type !== RTM_DELNEIGH) return null;
    return { about: `${index} ${ipText(NDA_DST)}`, what: `${type}` };
  }
  if (NDA_LLADDR === undefined) return null;
  return saidOfFdb(type, index, macText(NDA_LLADDR), ipText(NDA_DST));
}

/** An address has one entry, but for the replicas of what is flooded, each an object of its own. */
function saidOfFdb(type: number, index: number, mac: Mac, dst: Ip): Said {
  if (mac === ANY_MAC) return { about: `${index} ${mac} ${dst}`, what: `${type}` };
  return { about: `${index} ${mac}`, what: `${type} ${dst}` };
}
