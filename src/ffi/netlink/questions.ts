// The kernel's questions for neighbours (RTM_GETNEIGH with NLM_F_REQUEST, neigh_app_ns in
// net/core/neighbour.c), each told in the very turn in which it arrives. A socket of its own with a
// filter in the kernel: the thousands of notifications that our own changes cause neither wake it
// nor fill its buffer. When questions are lost all the same, it is opened again and that is told:
// who waits can still be found by a dump.

import {
  AF_NETLINK,
  attachFilter,
  type BpfInstruction,
  bindNetlink,
  close,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  setsockopt,
  socket,
} from "../libc.ts";
import { withNetns } from "../netns.ts";
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_ROUTE,
  NLM_F_REQUEST,
  RTM_GETNEIGH,
  RTNLGRP_NEIGH,
  SOL_NETLINK,
} from "./constants.ts";
import { type Frame, frames } from "./header.ts";
import { Listener } from "./listener.ts";
import { forceBuffers } from "./socket.ts";

const REOPEN_MS = 100;

/** nlmsg_type, in the byte order of BPF, is RTM_GETNEIGH. */
const ONLY_QUESTIONS: readonly BpfInstruction[] = [
  [0x28, 0, 0, 4], // ldh [4]
  [0x15, 0, 1, ((RTM_GETNEIGH & 0xff) << 8) | (RTM_GETNEIGH >> 8)], // jeq
  [0x06, 0, 0, 0xffff_ffff], // ret all of it
  [0x06, 0, 0, 0], // ret nothing
];

export interface QuestionsOptions {
  readonly netns: string | null;
  readonly onQuestion: (frame: Frame) => void;
  /** Questions may have gone unheard until now. Also called once when the first socket is open. */
  readonly onGap: () => void;
  /** In bytes. */
  readonly receiveBuffer: number;
}

/** Listens from construction on. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #listener: Listener;
  #closed = false;

  /** Throws NativeError. */
  constructor(options: QuestionsOptions) {
    this.#options = options;
    this.#listener = new Listener({
      subscribe: () => this.#subscribe(),
      onDatagram: (datagram) => this.#receive(datagram),
      reopenMs: REOPEN_MS,
    });
  }

  close(): void {
    this.#closed = true;
    this.#listener.close();
  }

  #subscribe(): number {
    const { netns, receiveBuffer, onGap } = this.#options;
    const fd = withNetns(netns, () => subscribe(receiveBuffer));
    // From here on nothing goes unheard: what was asked before is found by whoever looks now.
    setImmediate(() => {
      if (!this.#closed) onGap();
    });
    return fd;
  }

  #receive(datagram: Uint8Array): void {
    for (const frame of frames(datagram)) {
      // L2 misses come under the same type without the flag (vxlan_fdb_miss); healing sees to them.
      if (frame.type === RTM_GETNEIGH && (frame.flags & NLM_F_REQUEST) !== 0) {
        this.#options.onQuestion(frame);
      }
    }
  }
}

function subscribe(receiveBuffer: number): number {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  try {
    attachFilter(fd, ONLY_QUESTIONS);
    forceBuffers(fd, receiveBuffer);
    bindNetlink(fd);
    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEIGH);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
