// heddle peer add, peer remove: foreign VTEPs.

import type { Deps } from "./deps.ts";
import { checkArgument, peerName } from "./flags.ts";
import { type ChangeFlags, change } from "./write.ts";

interface PeerAddFlags extends ChangeFlags {
  readonly subnet: string;
  readonly publicIp: string;
  readonly vtepMac?: string;
}

export async function peerAdd(
  deps: Deps,
  flags: PeerAddFlags,
  args: readonly string[],
): Promise<number> {
  const name = checkArgument<string>("<name>", args[0], peerName);
  const { subnet, publicIp, vtepMac = null } = flags;
  const peer = { name, subnet, publicIp, vtepMac };
  return await change(deps, flags, { type: "AddPeer", ...peer }, `peer ${name}`);
}

export async function peerRemove(
  deps: Deps,
  flags: ChangeFlags,
  args: readonly string[],
): Promise<number> {
  const name = checkArgument<string>("<name>", args[0], peerName);
  return await change(deps, flags, { type: "RemovePeer", name }, `peer ${name}`);
}
