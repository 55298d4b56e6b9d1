// Which nats-server versions keep the log's promises. Header features of newer servers are silently
// ignored by older ones, so the version decides, never the absence of an error.

import { LogError } from "./log.ts";

/** Direct get, consumer names and consumers in memory date from 2.9.0. */
export function refuseOldServer(version: string): void {
  if (isAtLeast(version, 2, 9)) return;
  throw new LogError("unsupported", `nats-server ${version} is too old: 2.9.0 or newer is needed`);
}

/** 2.9's replicated streams accept several writers of one expected sequence: 266 of 300 races. */
export function refuseUnsafeReplicas(version: string, replicas: number): void {
  if (replicas <= 1 || isAtLeast(version, 2, 10)) return;
  throw new LogError(
    "unsupported",
    `nats-server ${version} loses races in replicated streams: use 1 replica, or 2.10 or newer`,
  );
}

export function isAtLeast(version: string, major: number, minor: number): boolean {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10));
  const [foundMajor = 0, foundMinor = 0] = parts;
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}
