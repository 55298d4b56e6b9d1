// Changing the network needs CAP_NET_ADMIN. It is asked for before anything else happens, because
// the kernel would refuse only after the log has been written to.

import { readFileSync } from "node:fs";
import { EXIT_FAILED, Failure } from "./failure.ts";

const CAP_NET_ADMIN = 12n;

/** Whether this process may change the network. */
export function hasNetAdmin(): boolean {
  const status = readFileSync("/proc/self/status", "utf8");
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** Throws Failure without the capability. */
export function requireNetAdmin(deps: { hasNetAdmin(): boolean }): void {
  if (deps.hasNetAdmin()) return;
  const message = "no privilege to change the network: run as root or with CAP_NET_ADMIN";
  throw new Failure(EXIT_FAILED, message);
}
