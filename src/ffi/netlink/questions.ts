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
  NativeError,
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
import { forceBuffers } from "./socket.ts";

/** Some 5,000 questions. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;
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
  /** Receive buffer in bytes. */
  readonly receiveBuffer?: number;
}

/** Listens from construction on. */
export class Questions {
  readonly #options: QuestionsOptions;
  #socket: { end(): void } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /** Throws NativeError. */
  constructor(options: QuestionsOptions) {
    this.#options = options;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.end();
  }

  #open(): void {
    const { netns, receiveBuffer, onGap } = this.#options;
    const fd = withNetns(netns, () => subscribe(receiveBuffer ?? RECEIVE_BUFFER));
    void this.#listen(fd);
    // From here on nothing goes unheard: what was asked before is found by whoever looks now.
    setImmediate(() => {
      if (!this.#closed) onGap();
    });
  }

  async #listen(fd: number): Promise<void> {
    // The overload for { fd } is missing in @types/bun; FdSocketOptions itself is there.
    const connect = Bun.connect as unknown as (options: Bun.FdSocketOptions) => Promise<Bun.Socket>;
    try {
      const connected = await connect({
        fd,
        socket: {
          data: (_, datagram) => this.#receive(datagram),
          close: () => this.#lost(),
        },
      });
      if (this.#closed) connected.end();
      else this.#socket = connected;
    } catch {
      // Whether Bun has closed the descriptor is unknown, and closing it twice could hit another.
      this.#retryLater();
    }
  }

  #receive(datagram: Uint8Array): void {
    if (this.#closed) return;
    for (const frame of frames(datagram)) {
      // L2 misses come under the same type without the flag (vxlan_fdb_miss); healing sees to them.
      if (frame.type === RTM_GETNEIGH && (frame.flags & NLM_F_REQUEST) !== 0) {
        this.#options.onQuestion(frame);
      }
    }
  }

  /** The kernel closes a socket whose buffer overran (ENOBUFS). */
  #lost(): void {
    this.#socket = null;
    if (this.#closed) return;
    try {
      this.#open();
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      this.#retryLater();
    }
  }

  #retryLater(): void {
    this.#timer = setTimeout(() => this.#lost(), REOPEN_MS);
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
