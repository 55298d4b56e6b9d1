// heddle lease reserve, release, revoke: subnets by hand.

import type { Command } from "../events/decide.ts";
import { foldTo } from "../events/past.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import { checkArgument, cidr, type LogFlags, type NodeFlag } from "./flags.ts";
import { reportWrite, writeCommand } from "./write.ts";

interface LeaseFlags extends LogFlags {
  readonly note?: string;
  readonly json?: boolean;
}

export function leaseReserve(
  deps: Deps,
  flags: LeaseFlags & { readonly for?: string },
  args: readonly string[],
): Promise<number> {
  const subnet = checkArgument<string>("<subnet>", args[0], cidr);
  const { for: node = null, note = "" } = flags;
  return write(deps, flags, { type: "Reserve", subnet, node, note }, "lease reserve");
}

export function leaseRelease(deps: Deps, flags: LeaseFlags & NodeFlag): Promise<number> {
  const node = flags.node ?? deps.hostName;
  return write(deps, flags, { type: "Release", node }, "lease release");
}

export function leaseRevoke(
  deps: Deps,
  flags: LeaseFlags,
  args: readonly string[],
): Promise<number> {
  const subnet = checkArgument<string>("<subnet>", args[0], cidr);
  return write(deps, flags, { type: "Revoke", subnet, note: flags.note ?? "" }, "lease revoke");
}

function write(deps: Deps, flags: LeaseFlags, command: Command, at: string): Promise<number> {
  return withLog(deps, flags, async ({ log }) => {
    const state = await foldTo(log, flags.fabric, null, deps.wallMs());
    const seq = await writeCommand(log, state, command, at);
    reportWrite(deps.out, flags, at, seq);
    return EXIT_OK;
  });
}
