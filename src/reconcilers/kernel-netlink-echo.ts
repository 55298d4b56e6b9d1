// Which notifications are echoes of our own changes although the kernel does not sign them with the
// port id of whoever made the change: those of vxlan's forwarding entries (vxlan_fdb_notify in
// drivers/net/vxlan/vxlan_core.c), and the second one of a removed neighbour
// (neigh_cleanup_and_release in net/core/neighbour.c). The content has to tell: an echo says
// exactly what we last asked for. Were it somebody else asking for the same, nothing would be
// different either.

import { AF_BRIDGE, NUD_PERMANENT, RTM_DELNEIGH, RTM_NEWNEIGH } from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import type { BatchOp } from "./kernel-netlink-batch.ts";
import { ipText, macText } from "./kernel-netlink-text.ts";

/** An echo comes at once; what has not come by then will not (a change that changed nothing). */
const ECHO_MS = 1000;

export class Echoes {
  /** What was asked for lately; forgotten after one to two ECHO_MS. */
  #recent = new Set<string>();
  #older = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  expect(op: BatchOp, index: number): void {
    const key = keyOfOp(op, index);
    if (key === null) return;
    this.#recent.add(key);
    this.#timer ??= this.#forgetLater();
  }

  /** True for every watcher that gets the notification. */
  isEcho(frame: Frame): boolean {
    const { type } = frame;
    if (this.#timer === null || (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH)) return false;
    const key = keyOfFrame(frame);
    return key !== null && (this.#recent.has(key) || this.#older.has(key));
  }

  #forgetLater(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#older = this.#recent;
      this.#recent = new Set();
      this.#timer = this.#older.size === 0 ? null : this.#forgetLater();
    }, ECHO_MS);
    timer.unref();
    return timer;
  }
}

function keyOfOp(op: BatchOp, index: number): string | null {
  const type = op.verb === "set" ? RTM_NEWNEIGH : RTM_DELNEIGH;
  if (op.noun === "fdb") return `${type} ${index} ${op.object.mac} ${op.object.dst}`;
  return op.noun === "neigh" && op.verb === "del" ? `${type} ${index} ${op.object.ip}` : null;
}

function keyOfFrame(frame: Frame): string | null {
  const { type, input, at, end } = frame;
  const { family, index, state } = ndmsg.read(input, at, end);
  const { NDA_LLADDR, NDA_DST, NDA_PORT, NDA_VNI } = neigh.read(frame).attrs;
  if (NDA_DST === undefined) return null;
  // We make permanent entries of the device's own port and VNI only; somebody may have made one of
  // ours dynamic, or another one beside it.
  const other = (state & NUD_PERMANENT) === 0 || NDA_PORT !== undefined || NDA_VNI !== undefined;
  if (type === RTM_NEWNEIGH && other) return null;
  if (family !== AF_BRIDGE) return `${type} ${index} ${ipText(NDA_DST)}`;
  return NDA_LLADDR === undefined
    ? null
    : `${type} ${index} ${macText(NDA_LLADDR)} ${ipText(NDA_DST)}`;
}
