// Which notifications of forwarding entries are echoes of our own changes. vxlan sends them without
// the port id of whoever made the change (vxlan_fdb_notify in drivers/net/vxlan/vxlan_core.c), so
// the content has to tell: an echo says exactly what we last asked for. Were it somebody else
// asking for the same, nothing would be different either.

import { AF_BRIDGE, RTM_DELNEIGH, RTM_NEWNEIGH } from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import { ipText, macText } from "./kernel-netlink-text.ts";
import type { Fdb } from "./kernel-state.ts";

/** An echo comes at once; what has not come by then will not (a change that changed nothing). */
const ECHO_MS = 1000;

export class OwnFdb {
  /**
   * `<type> <index> <mac> <dst>` of what was asked for lately; forgotten after one to two ECHO_MS.
   */
  #recent = new Set<string>();
  #older = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  expect(verb: "set" | "del", { mac, dst }: Fdb, index: number): void {
    const type = verb === "set" ? RTM_NEWNEIGH : RTM_DELNEIGH;
    this.#recent.add(`${type} ${index} ${mac} ${dst}`);
    this.#timer ??= this.#forgetLater();
  }

  /** True for every watcher that gets the notification. */
  isEcho(frame: Frame): boolean {
    const { type, input, at, end } = frame;
    if (this.#timer === null || (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH)) return false;
    const { family, index } = ndmsg.read(input, at, end);
    if (family !== AF_BRIDGE) return false;
    const { NDA_LLADDR, NDA_DST } = neigh.read(frame).attrs;
    if (NDA_LLADDR === undefined || NDA_DST === undefined) return false;
    const key = `${type} ${index} ${macText(NDA_LLADDR)} ${ipText(NDA_DST)}`;
    return this.#recent.has(key) || this.#older.has(key);
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
