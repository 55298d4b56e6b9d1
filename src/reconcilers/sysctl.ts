// Switches under /proc/sys. They are set and healed but never taken back: whether the host
// forwarded before we came is not known, and others may rely on it by now.

import type { Sysctl } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

export const sysctl: NounRules<Sysctl> = {
  same: (want, have) => want.value === have.value,
  owned: () => false,
  // With slashes, so that the dot in a device's name is no separator.
  command: (_verb, { path, value }) => `sysctl -w ${path}=${value}`,
  text: ({ path, value }) => `${path}=${value}`,
};

/** The device of a per-device switch, or null; "all" and "default" are none. */
export function sysctlDevice(path: string): string | null {
  return /^net\/ipv[46]\/(?:conf|neigh)\/(?!all\/|default\/)([^/]+)\//.exec(path)?.[1] ?? null;
}
