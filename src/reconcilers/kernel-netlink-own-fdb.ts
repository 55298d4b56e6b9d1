// Which notifications of forwarding entries are echoes of our own changes. vxlan sends them without
// the port id of whoever made the change (vxlan_fdb_notify in drivers/net/vxlan/vxlan_core.c), so the
// content has to tell: an echo says exactly what we last asked for. Were it somebody else asking for
// the same, nothing would be different either.

import { AF_BRIDGE, RTM_DELNEIGH, RTM_NEWNEIGH } from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import { ipText, macText } from "./kernel-netlink-text.ts";
import type { Fdb } from "./kernel-state.ts";

/** An echo comes at once; what has not come by then will not (a change that changed nothing). */
const ECHO_MS = 1000;

export class OwnFdb {
  /** `<type> <index> <mac> <dst>` to the time until which its echo is expected. */
  readonly #expected = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  expect(verb: "set" | "del", { mac, dst }: Fdb, index: number): void {
    if (this.#expected.size === 0) this.#sweepLater();
    const type = verb === "set" ? RTM_NEWNEIGH : RTM_DELNEIGH;
    this.#expected.set(`${type} ${index} ${mac} ${dst}`, this.#nowMs() + ECHO_MS);
  }

  isEcho(frame: Frame): boolean {
    const { type, input, at, end } = frame;
    if (this.#expected.size === 0 || (type !== RTM_NEWNEIGH && type !== RTM_DELNEIGH)) return false;
    const { family, index } = ndmsg.read(input, at, end);
    if (family !== AF_BRIDGE) return false;
    const { NDA_LLADDR, NDA_DST } = neigh.read(frame).attrs;
    if (NDA_LLADDR === undefined || NDA_DST === undefined) return false;
    const key = `${type} ${index} ${macText(NDA_LLADDR)} ${ipText(NDA_DST)}`;
    // It stays until its time is up: every watcher gets the notification.
    const untilMs = this.#expected.get(key);
    return untilMs !== undefined && this.#nowMs() <= untilMs;
  }

  #sweepLater(): void {
    const timer = setTimeout(() => this.#sweep(), ECHO_MS);
    timer.unref();
  }

  #sweep(): void {
    for (const [key, untilMs] of this.#expected) {
      if (this.#nowMs() > untilMs) this.#expected.delete(key);
    }
    if (this.#expected.size > 0) this.#sweepLater();
  }
}
