// heddle peer add, peer remove: foreign VTEPs.

import { isDeepStrictEqual } from "node:util";
import { foldTo } from "../events/past.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import { checkArgument, type LogFlags, peerName } from "./flags.ts";
import { reportWrite, writeCommand } from "./write.ts";

interface PeerAddFlags extends LogFlags {
  readonly subnet: string;
  readonly publicIp: string;
  readonly vtepMac?: string;
  readonly json?: boolean;
}

export async function peerAdd(
  deps: Deps,
  flags: PeerAddFlags,
  args: readonly string[],
): Promise<number> {
  const name = checkArgument<string>("<name>", args[0], peerName);
  const { subnet, publicIp, vtepMac = null } = flags;
  const peer = { name, subnet, publicIp, vtepMac };
  return await withLog(deps, flags, async ({ log }) => {
    const state = await foldTo(log, flags.fabric, null, deps.wallMs());
    const same = isDeepStrictEqual(state.peers.get(name), peer);
    const command = { type: "AddPeer", ...peer } as const;
    const seq = same ? null : await writeCommand(log, state, command, `peer ${name}`);
    reportWrite(deps.out, flags, `peer ${name}`, seq);
    return EXIT_OK;
  });
}

export async function peerRemove(
  deps: Deps,
  flags: LogFlags & { readonly json?: boolean },
  args: readonly string[],
): Promise<number> {
  const name = checkArgument<string>("<name>", args[0], peerName);
  return await withLog(deps, flags, async ({ log }) => {
    const state = await foldTo(log, flags.fabric, null, deps.wallMs());
    const seq = await writeCommand(log, state, { type: "RemovePeer", name }, "peer remove");
    reportWrite(deps.out, flags, `peer ${name}`, seq);
    return EXIT_OK;
  });
}
