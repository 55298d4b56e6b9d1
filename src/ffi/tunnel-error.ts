// Why a tunnel could not be opened, in words that say what to do. The steps are enum hp_step of
// native/heddle.h.

import { NativeError } from "./libc.ts";
import type { Endpoint } from "./tunnel-encode.ts";

const STEPS = ["memory", "config", "open", "attach", "socket", "bind", "thread"] as const;
type Step = (typeof STEPS)[number];

const EPERM = 1;
const ENOENT = 2;
const ENXIO = 6;
const EACCES = 13;
const EBUSY = 16;
const ENODEV = 19;
const EINVAL = 22;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;

/** What failed is known by errno; the text is for people. */
export class TunnelError extends NativeError {
  constructor(call: string, errno: number, text: string) {
    super(call, errno);
    this.message = text;
  }
}

interface Where {
  readonly device: string;
  readonly listen: readonly Endpoint[];
}

const CALLS: Record<Step, string> = {
  memory: "calloc",
  config: "hp_open",
  open: "open /dev/net/tun",
  attach: "TUNSETIFF",
  socket: "socket",
  bind: "bind",
  thread: "pthread_create",
};

export function tunnelError(stepNumber: number, errno: number, where: Where): TunnelError {
  const step = STEPS[stepNumber] ?? "config";
  const call = CALLS[step];
  const why = reason(step, errno, where);
  return new TunnelError(call, errno, why ?? `tunnel ${where.device}: ${call}: errno ${errno}`);
}

function reason(step: Step, errno: number, { device, listen }: Where): string | null {
  const at = listen.map(({ ip, port }) => `${ip} port ${port}`).join(", ");
  switch (step) {
    case "open":
      return openReason(errno);
    case "attach":
      if (errno === EPERM) return `no privilege to make ${device}: CAP_NET_ADMIN is needed`;
      if (errno === EBUSY) return `${device} is in use by another process`;
      if (errno === EINVAL) return `${device} exists and is not a multi-queue TUN device`;
      return null;
    case "bind":
      if (errno === EADDRINUSE) return `UDP ${at}: taken by another process`;
      if (errno === EADDRNOTAVAIL) return `UDP ${at}: not an address of this host`;
      if (errno === EACCES) return `UDP ${at}: no privilege for this port`;
      return null;
    case "config":
      return errno === EINVAL ? "the tunnel's library refused the options" : null;
    default:
      return null;
  }
}

function openReason(errno: number): string | null {
  if (errno === ENOENT)
    return "/dev/net/tun is missing: modprobe tun, or give this container the device";
  if (errno === ENODEV || errno === ENXIO) return "the kernel has no TUN driver: modprobe tun";
  if (errno === EPERM || errno === EACCES) return "no privilege to open /dev/net/tun";
  return null;
}
