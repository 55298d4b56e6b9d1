// The MissKernel port on the real kernel. It shares the request socket of the Kernel port: what is
// answered here is then known there as our own change. A vxlan device notes on each forwarding
// entry when it last sent by it (vxlan_find_mac_tx in drivers/net/vxlan/vxlan_core.c), permanent
// ones included; a permanent neighbour notes nothing.

import type { Mac } from "../events/address.ts";
import {
  AF_BRIDGE,
  AF_UNSPEC,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { ndmsg, neigh } from "../ffi/netlink/neigh.ts";
import { Questions } from "../ffi/netlink/questions.ts";
import { CHUNK, type NetlinkSocket, type Request } from "../ffi/netlink/socket.ts";
import { AnsweringThread } from "./kernel-netlink-answerer.ts";
import type { Devices } from "./kernel-netlink-dev.ts";
import type { Echoes } from "./kernel-netlink-echo.ts";
import { fdbRequest } from "./kernel-netlink-fdb.ts";
import { neighRequest } from "./kernel-netlink-neigh.ts";
import { failure, outcomeOf } from "./kernel-netlink-outcome.ts";
import { ipText, macText } from "./kernel-netlink-text.ts";
import { PROTOCOL } from "./kernel-state.ts";
import type { Answer, Miss, MissKernel, MissWatch, MissWatcher, Use } from "./miss.ts";
import type { OpOutcome } from "./op.ts";

/** struct nda_cacheinfo: confirmed, used, updated, in ticks of USER_HZ. */
const TICK_MS = 10;
const ENODEV = 19;

/** Of the socket that hears the questions: some 5,000. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;

export interface MissOptions {
  /** Of the socket that hears the questions, in bytes. */
  readonly receiveBuffer?: number;
  /** False: the event loop answers, as without the native library. */
  readonly thread?: boolean;
}

export interface NetlinkMissOptions extends MissOptions {
  readonly netns: string | null;
  readonly socket: NetlinkSocket;
  readonly devices: () => Devices;
  readonly echoes: Echoes;
}

export class NetlinkMisses implements MissKernel {
  readonly #options: NetlinkMissOptions;
  #thread: AnsweringThread | null = null;

  constructor(options: NetlinkMissOptions) {
    this.#options = options;
  }

  /** Throws NativeError. */
  watchMisses(watcher: MissWatcher): MissWatch {
    const { thread = true } = this.#options;
    if (!thread) return this.#listen(watcher, "not wanted");
    try {
      return this.#startThread(watcher);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return this.#listen(watcher, error.message);
    }
  }

  #startThread(watcher: MissWatcher): MissWatch {
    const { netns, devices, echoes, receiveBuffer = RECEIVE_BUFFER } = this.#options;
    const onClose = () => {
      this.#thread = null;
    };
    const options = { netns, devices, echoes, receiveBuffer, onClose, ...watcher };
    this.#thread = new AnsweringThread(options);
    return this.#thread;
  }

  #listen({ onMiss, onGap }: MissWatcher, reason: string): MissWatch {
    const { netns, receiveBuffer = RECEIVE_BUFFER } = this.#options;
    const questions = new Questions({
      ...{ netns, onGap, receiveBuffer },
      onQuestion: (frame) => {
        const miss = this.#missOf(frame);
        if (miss !== null) onMiss(miss);
      },
    });
    const nothing = (): void => undefined;
    return {
      path: { by: "event-loop", reason },
      ...{ prepare: nothing, serve: nothing, drain: nothing },
      close: () => questions.close(),
    };
  }

  /** Whether a notification is of a change that the thread made; what it made is told by then. */
  isOwn({ type, pid }: Frame): boolean {
    if (this.#thread === null || type !== RTM_NEWNEIGH) return false;
    if (this.#thread.isOwn(pid)) return true;
    this.#thread.drain();
    return false;
  }

  /** Every question that comes while `work` runs is told, and none answered meanwhile. */
  withhold<T>(work: () => Promise<T>): Promise<T> {
    return this.#thread === null ? work() : this.#thread.withhold(work);
  }

  #missOf(frame: Frame): Miss | null {
    const { index } = ndmsg.read(frame.input, frame.at, frame.end);
    const { NDA_DST } = neigh.read(frame).attrs;
    if (NDA_DST === undefined) return null;
    try {
      const dev = this.#options.devices().nameOf(index);
      return dev === null ? null : { dev, ip: ipText(NDA_DST), sinceMs: 0 };
    } catch (error) {
      // The kernel asks again in a second.
      if (error instanceof NetlinkError) return null;
      throw error;
    }
  }

  pending(devs: readonly string[]): readonly Miss[] {
    return this.#onEach(devs, (dev, index) =>
      this.#dump(AF_UNSPEC, index, ({ header, attrs }) => {
        if ((header.state & (NUD_INCOMPLETE | NUD_FAILED)) === 0) return null;
        if (attrs.NDA_DST === undefined) return null;
        return { dev, ip: ipText(attrs.NDA_DST), sinceMs: ageOf(attrs.NDA_CACHEINFO, UPDATED) };
      }),
    );
  }

  answer(ops: readonly Answer[]): readonly OpOutcome[] {
    const { socket, echoes, devices } = this.#options;
    const requests: Request[] = [];
    const sent: Answer[] = [];
    const outcomes = new Map<Answer, OpOutcome>();
    for (const op of ops) {
      const index = indexOf(devices(), op.object.dev);
      if (typeof index !== "number") {
        outcomes.set(op, index);
        continue;
      }
      echoes.expect(op, index);
      sent.push(op);
      requests.push(
        op.noun === "fdb"
          ? fdbRequest(op.verb, op.object, index, undefined)
          : neighRequest(op.verb, op.object, index),
      );
    }
    for (let from = 0; from < requests.length; from += CHUNK) {
      const results = socket.transactNow(requests.slice(from, from + CHUNK));
      results.forEach((result, i) => {
        const op = sent[from + i];
        if (op !== undefined) outcomes.set(op, outcomeOf(op.verb, [result]));
      });
    }
    return ops.map((op) => outcomes.get(op) ?? failure(ENODEV, null));
  }

  uses(devs: readonly string[]): readonly Use[] {
    return this.#onEach(devs, (dev, index) => {
      const idle = new Map<Mac, number>();
      this.#dump(AF_BRIDGE, index, ({ attrs }) => {
        if (attrs.NDA_LLADDR !== undefined) {
          idle.set(macText(attrs.NDA_LLADDR), ageOf(attrs.NDA_CACHEINFO, USED));
        }
        return null;
      });
      return this.#dump(AF_UNSPEC, index, ({ header, attrs }): Use | null => {
        const { NDA_DST, NDA_LLADDR, NDA_PROTOCOL } = attrs;
        if ((header.state & NUD_PERMANENT) === 0 || NDA_PROTOCOL !== PROTOCOL) return null;
        if (NDA_DST === undefined || NDA_LLADDR === undefined) return null;
        return { dev, ip: ipText(NDA_DST), idleMs: idle.get(macText(NDA_LLADDR)) ?? 0 };
      });
    });
  }

  #onEach<T>(
    devs: readonly string[],
    read: (dev: string, index: number) => readonly T[],
  ): readonly T[] {
    return devs.flatMap((dev) => {
      const index = this.#options.devices().indexOf(dev);
      return index === null ? [] : read(dev, index);
    });
  }

  #dump<T>(
    family: number,
    index: number,
    decode: (message: ReturnType<typeof neigh.decode>) => T | null,
  ): T[] {
    // The device is in the header for a forwarding table, in an attribute for neighbours.
    const payload =
      family === AF_BRIDGE
        ? neigh.encode({ family, index }, {})
        : neigh.encode({ family }, { NDA_IFINDEX: index });
    return this.#options.socket.dump({ type: RTM_GETNEIGH, flags: 0, payload }, (reply) => {
      const message = neigh.read(reply);
      return message.header.index === index ? decode(message) : null;
    });
  }
}

function indexOf(devices: Devices, dev: string): number | OpOutcome {
  try {
    return devices.indexOf(dev) ?? failure(ENODEV, `no device ${dev}`);
  } catch (error) {
    if (error instanceof NetlinkError) return failure(error.errno, error.extack);
    throw error;
  }
}

const USED = 4;
const UPDATED = 8;

/** Milliseconds; 0 when the kernel does not tell. */
function ageOf(cacheinfo: Uint8Array | undefined, at: number): number {
  if (cacheinfo === undefined || cacheinfo.length < at + 4) return 0;
  return new DataView(cacheinfo.buffer, cacheinfo.byteOffset).getUint32(at, true) * TICK_MS;
}
