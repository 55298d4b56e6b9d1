// What a check is, and what checks are given. A check looks and changes nothing.

import type { AgentStatus } from "../agent/status.ts";
import type { LogInfo } from "../events/log.ts";
import type { FabricState } from "../events/state.ts";
import type { PlanView } from "../http/views.ts";
import type { HostFacts } from "../reconcilers/kernel.ts";

/** `fail`: containers cannot reach each other, or will not for long. `warn`: they may not. */
export type Result = "ok" | "warn" | "fail";

export interface Check {
  readonly name: string;
  readonly result: Result;
  /** What was found; one line. */
  readonly found: string;
  /** What to do about it; null when nothing is to be done. */
  readonly advice: string | null;
}

export function ok(name: string, found: string): Check {
  return { name, result: "ok", found, advice: null };
}

export function warn(name: string, found: string, advice: string): Check {
  return { name, result: "warn", found, advice };
}

export function fail(name: string, found: string, advice: string): Check {
  return { name, result: "fail", found, advice };
}

/** What could be learnt; null is what could not. */
export interface Findings {
  readonly node: string;
  readonly fabric: string;
  readonly status: AgentStatus | null;
  readonly plan: PlanView | null;
  readonly state: Readonly<FabricState> | null;
  readonly log: LogInfo | null;
  readonly facts: HostFacts | null;
}

/** Prefixes that the fabric spans, as far as known. */
export function networksOf({ state }: Findings): readonly string[] {
  return [state?.config?.ipv4, state?.config?.ipv6].flatMap((pool) => pool?.network ?? []);
}

/** Subnets of this host. */
export function subnetsOf({ state, status, node }: Findings): readonly string[] {
  return status?.lease?.subnets ?? state?.leases.get(node)?.subnets ?? [];
}

/** Debian keeps sbin out of a user's PATH. */
function pathOf(name: string): string | null {
  return Bun.which(name, { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
}

export function isInstalled(name: string): boolean {
  return pathOf(name) !== null;
}

/** stdout of a program, or null when it is not there or refuses. */
export async function outputOf(command: readonly string[]): Promise<string | null> {
  const [name = "", ...args] = command;
  const path = pathOf(name);
  if (path === null) return null;
  const child = Bun.spawn([path, ...args], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return code === 0 ? text : null;
}
