// heddle lease reserve, release, revoke: subnets by hand.

import type { Deps } from "./deps.ts";
import { checkArgument, cidr, type NodeFlag } from "./flags.ts";
import { type ChangeFlags, change } from "./write.ts";

interface LeaseFlags extends ChangeFlags {
  readonly note?: string;
}

export function leaseReserve(
  deps: Deps,
  flags: LeaseFlags & { readonly for?: string },
  args: readonly string[],
): Promise<number> {
  const subnet = checkArgument<string>("<subnet>", args[0], cidr);
  const { for: node = null, note = "" } = flags;
  return change(deps, flags, { type: "Reserve", subnet, node, note }, "lease reserve");
}

export function leaseRelease(deps: Deps, flags: LeaseFlags & NodeFlag): Promise<number> {
  const node = flags.node ?? deps.hostName;
  return change(deps, flags, { type: "Release", node }, "lease release");
}

export function leaseRevoke(
  deps: Deps,
  flags: LeaseFlags,
  args: readonly string[],
): Promise<number> {
  const subnet = checkArgument<string>("<subnet>", args[0], cidr);
  return change(deps, flags, { type: "Revoke", subnet, note: flags.note ?? "" }, "lease revoke");
}
