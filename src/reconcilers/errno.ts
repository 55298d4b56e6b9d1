// Kernel error numbers (asm-generic/errno.h): their names, and which of them mean that an object
// which shall go is already gone.

const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  22: "EINVAL",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
  33: "EDOM",
  34: "ERANGE",
  71: "EPROTO",
  75: "EOVERFLOW",
  90: "EMSGSIZE",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  105: "ENOBUFS",
  113: "EHOSTUNREACH",
};

export function errnoName(errno: number): string {
  return NAMES[errno] ?? `errno ${errno}`;
}

/**
 * ENOENT: FDB entry, neighbour, nexthop. ESRCH: route. ENODEV: the device went, and with it all on
 * it. EADDRNOTAVAIL: address.
 */
const GONE: ReadonlySet<number> = new Set([2, 3, 19, 99]);

/** True when a removal that failed with this has nothing left to remove. */
export function isGone(errno: number): boolean {
  return GONE.has(errno);
}
