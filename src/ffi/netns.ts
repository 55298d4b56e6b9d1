// Runs a function inside another network namespace. setns(2) changes only the calling thread, and
// sockets, child processes and opened /proc/sys files keep the namespace they were made in. The
// function must be synchronous: across an `await` other callbacks would run in the wrong namespace.

import { close, openReadOnly, setNetns } from "./libc.ts";

/** `path` is a namespace file such as `/run/netns/blue`; null means stay where we are. */
export function withNetns<T>(path: string | null, work: () => T): T {
  if (path === null) return work();
  const home = openReadOnly("/proc/thread-self/ns/net");
  try {
    const target = openReadOnly(path);
    try {
      setNetns(target);
    } finally {
      close(target);
    }
    try {
      return synchronous(work());
    } finally {
      // Failing to return would leave the whole process in a foreign namespace: nothing catches it.
      setNetns(home);
    }
  } finally {
    close(home);
  }
}

function synchronous<T>(value: T): T {
  if (value instanceof Promise) throw new TypeError("withNetns needs a synchronous function");
  return value;
}
