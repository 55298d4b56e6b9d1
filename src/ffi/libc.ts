// The libc calls behind netlink sockets and network namespaces, by bun:ffi, without any C of ours.
// Every integer is range-checked first, because the FFI truncates silently; every failure becomes a
// NativeError with the errno read right after the call. Sockets here are never waited on: rtnetlink
// works inside send(2), so callers read with MSG_DONTWAIT.

import { dlopen, type Pointer, ptr, read } from "bun:ffi";

// open(2) is variadic; calling it with fixed arguments is right on x86-64 and on arm64 Linux.
const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64_fast" as "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64_fast" as "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  setns: { args: ["i32", "i32"], returns: "i32" },
});

/** A libc call that failed, with its errno as a positive number. */
export class NativeError extends Error {
  override readonly name = "NativeError";
  readonly call: string;
  readonly errno: number;
  constructor(call: string, errno: number) {
    super(`${call}: errno ${errno}`);
    this.call = call;
    this.errno = errno;
  }
}

export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
const EAGAIN = 11;
const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;
const SIZEOF_SOCKADDR_NL = 12;

function errno(): number {
  return read.i32(libc.__errno_location() as Pointer, 0);
}

function checked(call: string, result: number): number {
  if (result < 0) throw new NativeError(call, errno());
  return result;
}

function int(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`);
  }
  return value;
}

const i32 = (name: string, value: number) => int(name, value, 0, 0x7fffffff);

export function socket(domain: number, type: number, protocol: number): number {
  const fd = libc.socket(i32("domain", domain), i32("type", type), i32("protocol", protocol));
  return checked("socket", fd);
}

/** Binds a netlink socket to a port the kernel chooses and returns that port. */
export function bindNetlink(fd: number): number {
  const address = new Uint8Array(SIZEOF_SOCKADDR_NL);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, true);
  checked("bind", libc.bind(i32("fd", fd), address, SIZEOF_SOCKADDR_NL));
  const length = new Uint32Array([SIZEOF_SOCKADDR_NL]);
  checked("getsockname", libc.getsockname(fd, address, length));
  return view.getUint32(4, true);
}

export function setsockopt(fd: number, level: number, option: number, value: number): void {
  const data = new Int32Array([i32("value", value)]);
  const done = libc.setsockopt(i32("fd", fd), i32("level", level), i32("option", option), data, 4);
  checked("setsockopt", done);
}

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;

/** One instruction of classic BPF: struct sock_filter (linux/filter.h). */
export type BpfInstruction = readonly [code: number, jt: number, jf: number, k: number];

/** Lets through to the socket only what `program` returns nonzero for. */
export function attachFilter(fd: number, program: readonly BpfInstruction[]): void {
  const code = new Uint8Array(program.length * 8);
  const view = new DataView(code.buffer);
  program.forEach(([op, jt, jf, k], i) => {
    view.setUint16(i * 8, op, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  });
  // struct sock_fprog: a length, then at the next 8 bytes a pointer, which the kernel copies from.
  const header = new DataView(new ArrayBuffer(16));
  header.setUint16(0, program.length, true);
  header.setBigUint64(8, BigInt(ptr(code)), true);
  const args = new Uint8Array(header.buffer);
  const done = libc.setsockopt(i32("fd", fd), SOL_SOCKET, SO_ATTACH_FILTER, args, args.length);
  checked("setsockopt SO_ATTACH_FILTER", done);
}

export function send(fd: number, data: Uint8Array, flags: number): number {
  return checked("send", libc.send(i32("fd", fd), data, data.byteLength, i32("flags", flags)));
}

/** Bytes received, or null when nothing is queued and MSG_DONTWAIT was asked for. */
export function recv(fd: number, into: Uint8Array, flags: number): number | null {
  const got = libc.recv(i32("fd", fd), into, into.byteLength, i32("flags", flags));
  if (got >= 0) return got;
  const code = errno();
  if (code === EAGAIN) return null;
  throw new NativeError("recv", code);
}

export function close(fd: number): void {
  checked("close", libc.close(i32("fd", fd)));
}

export function openReadOnly(path: string): number {
  if (path.includes("\0")) throw new RangeError("path holds a NUL byte");
  const name = new TextEncoder().encode(`${path}\0`);
  return checked(`open ${path}`, libc.open(name, O_RDONLY | O_CLOEXEC, 0));
}

/** Moves the calling thread, and only it, into a network namespace. */
export function setNetns(fd: number): void {
  checked("setns", libc.setns(i32("fd", fd), CLONE_NEWNET));
}
