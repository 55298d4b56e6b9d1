// The libc calls behind netlink sockets, network namespaces and the processes that come before and
// above us, by bun:ffi, without any C of ours.
// Every integer is range-checked first, because the FFI truncates silently; every failure becomes a
// NativeError with the errno read right after the call. Sockets here are never waited on: rtnetlink
// works inside send(2), so callers read with MSG_DONTWAIT.

import { dlopen, type Pointer, ptr, read } from "bun:ffi";

// open(2), fcntl(2) and syscall(2) are variadic; calling them with fixed arguments is right on
// x86-64 and on arm64 Linux.
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
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64_fast" as "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  // For newer calls than the C library of an old distribution knows.
  syscall: { args: ["i64", "i64", "i64", "i64", "i64"], returns: "i64_fast" as "i32" },
  madvise: { args: ["ptr", "u64", "i32"], returns: "i32" },
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

export const AF_UNIX = 1;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
export const ECONNREFUSED = 111;
const EAGAIN = 11;
const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;
const SIZEOF_SOCKADDR_NL = 12;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
/** struct cmsghdr on a 64-bit machine. */
const CMSG_HEADER = 16;
const POLLIN = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MADV_DONTNEED = 4;
const PAGE_BYTES_MIN = 4096;

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

export function closeOnExec(fd: number): void {
  checked("fcntl", libc.fcntl(i32("fd", fd), F_SETFD, FD_CLOEXEC));
}

export function openReadOnly(path: string): number {
  if (path.includes("\0")) throw new RangeError("path holds a NUL byte");
  const name = new TextEncoder().encode(`${path}\0`);
  return checked(`open ${path}`, libc.open(name, O_RDONLY | O_CLOEXEC, 0));
}

/** sockaddr_un; a leading "@" stands for the NUL of an abstract name. */
function unixAddress(path: string): Uint8Array {
  const name = Buffer.from(path.replace(/^@/, "\0"));
  const abstract = path.startsWith("@");
  if (name.byteLength > 107) throw new RangeError(`socket ${path}: longer than 107 bytes`);
  return new Uint8Array([AF_UNIX, 0, ...name, ...(abstract ? [] : [0])]);
}

export function connectUnix(fd: number, path: string): void {
  const address = unixAddress(path);
  checked(`connect ${path}`, libc.connect(i32("fd", fd), address, address.byteLength));
}

/**
 * The process that listens at the other end, as this pid namespace numbers it; 0 for none of it.
 */
export function peerPid(fd: number): number {
  const credentials = new Int32Array(3);
  const length = new Uint32Array([credentials.byteLength]);
  const done = libc.getsockopt(i32("fd", fd), SOL_SOCKET, SO_PEERCRED, credentials, length);
  checked("getsockopt SO_PEERCRED", done);
  return credentials[0] ?? 0;
}

/** Sends one message, with descriptors beside it (unix(7), SCM_RIGHTS). */
export function sendWithFds(fd: number, data: Uint8Array, fds: readonly number[]): void {
  const control = new Uint8Array(CMSG_HEADER + fds.length * 4);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, BigInt(control.byteLength), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  for (const [i, sent] of fds.entries()) view.setInt32(CMSG_HEADER + i * 4, i32("fd", sent), true);
  const iov = new BigUint64Array([BigInt(ptr(data)), BigInt(data.byteLength)]);
  const message = new BigUint64Array(7);
  message.set([BigInt(ptr(iov)), 1n], 2);
  if (fds.length > 0) message.set([BigInt(ptr(control)), BigInt(control.byteLength)], 4);
  checked("sendmsg", libc.sendmsg(i32("fd", fd), message, 0));
}

function syscall(call: string, number: number, ...args: readonly number[]): number {
  const [a = 0, b = 0, c = 0, d = 0] = args;
  return checked(call, libc.syscall(number, a, b, c, d));
}

// The same numbers on all architectures.
export const pidfdOpen = (pid: number): number => syscall("pidfd_open", 434, i32("pid", pid));

/** A duplicate of another process's descriptor. */
export const pidfdGetfd = (pidfd: number, fd: number): number =>
  syscall("pidfd_getfd", 438, i32("pidfd", pidfd), i32("fd", fd));

export const pidfdSendSignal = (pidfd: number, signal: number): void =>
  void syscall("pidfd_send_signal", 424, i32("pidfd", pidfd), i32("signal", signal));

/** Whether the process has ended, reaped or not. */
export function pidfdEnded(pidfd: number): boolean {
  const wait = new Int32Array([i32("pidfd", pidfd), POLLIN]);
  return checked("poll", libc.poll(wait, 1, 0)) > 0;
}

/** Moves the calling thread, and only it, into a network namespace. */
export function setNetns(fd: number): void {
  checked("setns", libc.setns(i32("fd", fd), CLONE_NEWNET));
}

/**
 * Gives back the pages of this process from `start` on, `length` bytes of whole pages. What they
 * held is lost unless it is in a file: the caller must know that nothing was written there.
 */
export function discard(start: number, length: number): void {
  for (const value of [start, length]) {
    int("address range", value, PAGE_BYTES_MIN, Number.MAX_SAFE_INTEGER);
    if (value % PAGE_BYTES_MIN !== 0) throw new RangeError(`${value} is not a multiple of a page`);
  }
  checked("madvise", libc.madvise(start as Pointer, length, MADV_DONTNEED));
}
