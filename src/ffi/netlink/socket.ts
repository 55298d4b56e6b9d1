// One request socket of a netlink family. rtnetlink works inside send(2), so every reply is queued
// when send returns and is read without waiting; an empty queue before the expected last message
// means that replies were lost, which is an error (ENOBUFS), never a hang. Notifications are
// monitor.ts; what messages mean is the caller's.

import { inputOf } from "../layout.ts";
import {
  AF_NETLINK,
  bindNetlink,
  close,
  MSG_DONTWAIT,
  MSG_TRUNC,
  NativeError,
  recv,
  SOCK_CLOEXEC,
  SOCK_RAW,
  send,
  setsockopt,
  socket,
} from "../libc.ts";
import {
  EINTR,
  ENOBUFS,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
  SOL_NETLINK,
  SOL_SOCKET,
} from "./constants.ts";
import { errorOf, NetlinkError } from "./error.ts";
import { type Frame, frames, NLMSG_HDRLEN } from "./header.ts";

export interface Request {
  readonly type: number;
  /** NLM_F_* beyond REQUEST, ACK and DUMP, which the socket adds itself. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

/**
 * Messages per send(2). More gives nothing (485 k objects/s at 64, 460 k at 1024), blocks the event
 * loop longer, and 256 error replies are what a default 208 kB receive buffer holds.
 */
export const CHUNK = 256;

/** Above what one chunk's error replies, or the notifications of a burst, take. */
const SOCKET_BUFFER = 4 * 1024 * 1024;
/** The kernel fills dump replies up to 32 KiB (netlink_dump); twice that is never truncated. */
const RECEIVE_BUFFER = 65_536;
const DUMP_ATTEMPTS = 10;
/** A success: the errno 0 and the header of the request (NETLINK_CAP_ACK). */
const ACK_LENGTH = NLMSG_HDRLEN + 4 + NLMSG_HDRLEN;

export class NetlinkSocket {
  /** Port id: notifications of changes made through this socket carry it. */
  readonly port: number;
  readonly #fd: number;
  readonly #into = inputOf(new Uint8Array(RECEIVE_BUFFER));
  #out = new Uint8Array(65_536);
  #seq = 0;
  /** Set when the kernel said that it dropped a reply for want of buffer. */
  #overrun = false;
  /** The rest of a dump is still to be read; to read another answer would throw it away. */
  #dumping = false;

  /** Throws NativeError when the kernel lacks a needed option. `buffer` is in bytes. */
  constructor(protocol: number, buffer = SOCKET_BUFFER) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    try {
      // Without these the kernel ignores dump filters and explains nothing: refuse to go on.
      for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
        setsockopt(this.#fd, SOL_NETLINK, option, 1);
      }
      forceBuffers(this.#fd, buffer);
      this.port = bindNetlink(this.#fd);
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  close(): void {
    close(this.#fd);
  }

  /**
   * Sends requests in chunks, yielding to the event loop between them; one result per request, null
   * for success. A request whose fate is unknown because replies were lost gets ENOBUFS.
   */
  async transact(requests: readonly Request[]): Promise<(NetlinkError | null)[]> {
    const results: (NetlinkError | null)[] = [];
    for (let from = 0; from < requests.length; from += CHUNK) {
      if (from > 0) await new Promise(setImmediate);
      for (const result of this.#chunk(requests.slice(from, from + CHUNK))) results.push(result);
    }
    return results;
  }

  /** One chunk without yielding: at most CHUNK requests. */
  transactNow(requests: readonly Request[]): (NetlinkError | null)[] {
    if (requests.length > CHUNK) throw new RangeError(`${requests.length} requests in one chunk`);
    return requests.length === 0 ? [] : this.#chunk(requests);
  }

  /** Only the last message asks for an acknowledgement: a failing one answers in any case. */
  #chunk(requests: readonly Request[]): (NetlinkError | null)[] {
    const results: (NetlinkError | null)[] = new Array(requests.length).fill(null);
    try {
      this.#send(requests, NLM_F_ACK);
      const got = this.#receive();
      if (this.#isAcknowledged(got)) return results;
      const first = this.#seq - requests.length + 1;
      for (const frame of this.#replies(got)) {
        const index = frame.seq - first;
        if (frame.type !== NLMSG_ERROR || index < 0 || index >= results.length) continue;
        results[index] = errorOf(frame, `RTM ${requests[index]?.type}`);
        if (index === results.length - 1 && !this.#overrun) return results;
      }
      throw new NetlinkError("acknowledgement", ENOBUFS, "replies were lost");
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return results.map((result) => result ?? error);
    }
  }

  /**
   * An nfnetlink transaction in one send(2): `requests` between its two marks, all of them or none.
   * Returns the first error, or null.
   */
  commit(begin: Request, requests: readonly Request[], end: Request): NetlinkError | null {
    // Whether the end mark is acknowledged differs between kernels (bf2ac490d28c, Linux 6.10).
    const acked = requests.map((request, i) =>
      i === requests.length - 1 ? { ...request, flags: request.flags | NLM_F_ACK } : request,
    );
    this.#send([begin, ...acked, end], 0);
    const last = this.#seq - 1;
    let done = false;
    let refused: NetlinkError | null = null;
    for (const frame of this.#replies()) {
      if (frame.type !== NLMSG_ERROR || frame.seq < last - requests.length) continue;
      refused ??= errorOf(frame, "nfnetlink transaction");
      if (frame.seq === last) done = true;
    }
    if (refused !== null) return refused;
    const lost = !done || this.#overrun;
    return lost ? new NetlinkError("acknowledgement", ENOBUFS, "replies were lost") : null;
  }

  /** The single answer to a request that is not a dump. Throws NetlinkError. */
  get(request: Request): Frame {
    this.#send([request], 0);
    const op = `RTM ${request.type}`;
    for (const frame of this.#replies()) {
      if (frame.seq !== this.#seq) continue;
      if (this.#overrun) break;
      if (frame.type !== NLMSG_ERROR) return frame;
      const error = errorOf(frame, op);
      if (error !== null) throw error;
    }
    throw new NetlinkError(op, ENOBUFS, "the reply was lost");
  }

  /**
   * A consistent dump: asks again when the kernel says that it changed underneath. `decode` may
   * return null to leave an object out, and may not use this socket. Throws NetlinkError.
   */
  dump<T>(request: Request, decode: (frame: Frame) => T | null): T[] {
    try {
      for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt += 1) {
        const objects = this.#dumpOnce(request, decode);
        if (objects !== null) return objects;
      }
    } catch (error) {
      // A dump left half read would refuse the next one with EBUSY.
      for (const _ of this.#replies());
      throw error;
    }
    throw new NetlinkError(`RTM ${request.type}`, EINTR, "the tables never stood still for a dump");
  }

  #dumpOnce<T>(request: Request, decode: (frame: Frame) => T | null): T[] | null {
    this.#send([request], NLM_F_DUMP);
    this.#dumping = true;
    try {
      return this.#dumped(`RTM ${request.type}`, decode);
    } finally {
      this.#dumping = false;
    }
  }

  /** Null when the tables changed meanwhile. */
  #dumped<T>(op: string, decode: (frame: Frame) => T | null): T[] | null {
    const objects: T[] = [];
    let interrupted = false;
    for (let got = this.#receive(); got !== null; got = this.#receive()) {
      for (const frame of this.#framesOf(got)) {
        if (frame.seq !== this.#seq) continue;
        if ((frame.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (frame.type === NLMSG_DONE || frame.type === NLMSG_ERROR) {
          this.#endDump(frame, op);
          return interrupted ? null : objects;
        }
        const object = decode(frame);
        if (object !== null) objects.push(object);
      }
    }
    throw cutShort(op);
  }

  #endDump(frame: Frame, op: string): void {
    const flags = frame.type === NLMSG_ERROR ? frame.flags : 0;
    const error = errorOf({ ...frame, flags }, op);
    if (error !== null) throw error;
    if (this.#overrun) throw cutShort(op);
  }

  #send(requests: readonly Request[], lastFlags: number): void {
    if (this.#dumping) throw new Error(`RTM ${requests[0]?.type}: a request while a dump is read`);
    // Sequence numbers are 32 bits wide; nothing is in flight here, so they may start again.
    if (this.#seq > 0xf0000000) this.#seq = 0;
    this.#overrun = false;
    let length = 0;
    for (const { payload } of requests) length += NLMSG_HDRLEN + ((payload.length + 3) & ~3);
    if (length > this.#out.length) this.#out = new Uint8Array(length * 2);
    const out = this.#out.subarray(0, length).fill(0);
    const view = new DataView(out.buffer, 0, length);
    let at = 0;
    for (const [index, { type, flags, payload }] of requests.entries()) {
      const extra = index === requests.length - 1 ? lastFlags : 0;
      this.#seq += 1;
      view.setUint32(at, NLMSG_HDRLEN + payload.length, true);
      view.setUint16(at + 4, type, true);
      view.setUint16(at + 6, flags | NLM_F_REQUEST | extra, true);
      view.setUint32(at + 8, this.#seq, true);
      out.set(payload, at + NLMSG_HDRLEN);
      at += NLMSG_HDRLEN + ((payload.length + 3) & ~3);
    }
    try {
      send(this.#fd, out, 0);
    } catch (error) {
      throw asNetlinkError(error);
    }
  }

  /**
   * Mostly nothing failed: then the first answer is the acknowledgement of the last request. Told
   * at a glance, because a peer's route waits for that of its neighbour.
   */
  #isAcknowledged(got: number | null): boolean {
    const { view } = this.#into;
    const isAnswer = got === ACK_LENGTH && view.getUint16(4, true) === NLMSG_ERROR;
    if (!isAnswer || view.getUint32(8, true) !== this.#seq || this.#overrun) return false;
    return view.getInt32(NLMSG_HDRLEN, true) === 0;
  }

  /** Frames until the queue is empty; the payload of one is gone when the next is asked for. */
  *#replies(first = this.#receive()): Generator<Frame> {
    for (let got = first; got !== null; got = this.#receive()) yield* this.#framesOf(got);
  }

  #framesOf(got: number): readonly Frame[] {
    const { bytes } = this.#into;
    if (got > bytes.length) throw new NetlinkError("recv", ENOBUFS, "a reply was truncated");
    return frames(bytes.subarray(0, got));
  }

  /** An overrun is reported before the replies that did fit: note it and read those. */
  #receive(): number | null {
    for (;;) {
      try {
        return recv(this.#fd, this.#into.bytes, MSG_DONTWAIT | MSG_TRUNC);
      } catch (error) {
        if (!(error instanceof NativeError) || error.errno !== ENOBUFS) throw asNetlinkError(error);
        this.#overrun = true;
      }
    }
  }
}

function cutShort(op: string): NetlinkError {
  return new NetlinkError(op, ENOBUFS, "the dump was cut short");
}

function asNetlinkError(error: unknown): unknown {
  if (!(error instanceof NativeError)) return error;
  return new NetlinkError(error.call, error.errno, null);
}

/** Needs CAP_NET_ADMIN in the socket's namespace; without it the defaults hold one chunk. */
export function forceBuffers(fd: number, size: number): void {
  for (const option of [SO_RCVBUFFORCE, SO_SNDBUFFORCE]) {
    try {
      setsockopt(fd, SOL_SOCKET, option, size);
    } catch (error) {
      if (!(error instanceof NativeError) || error.errno !== EPERM) throw error;
    }
  }
}

const EPERM = 1;
