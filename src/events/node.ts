// A node as the state keeps it. Every field is named: an object that is made by spreading another
// into it keeps most of its fields outside itself, 64 bytes more for each of 10 000.

import type { Member } from "./event.ts";
import { sharedList } from "./shared-list.ts";
import type { Node } from "./state.ts";

/** What the fold knows of a node besides what it says of itself. */
export type Known = Omit<Node, keyof Member>;

export function nodeOf(member: Member, known: Known): Node {
  return {
    node: member.node,
    instance: member.instance,
    publicIp: member.publicIp,
    publicIpv6: member.publicIpv6,
    vtepMac: member.vtepMac,
    vtepMacV6: member.vtepMacV6,
    backend: member.backend,
    underlay: member.underlay,
    ipMasq: member.ipMasq,
    capabilities: member.capabilities,
    version: member.version,
    present: known.present,
    joinedSeq: known.joinedSeq,
    updatedSeq: known.updatedSeq,
    heardMs: known.heardMs,
    epoch: known.epoch,
    previous: known.previous,
    revoked: known.revoked,
  };
}

/** Freshly read, and nobody else's yet. */
export function shareLists(member: Member): void {
  const own: { capabilities: readonly string[]; underlay: { onlink: readonly string[] } } = member;
  own.capabilities = sharedList(own.capabilities);
  own.underlay.onlink = sharedList(own.underlay.onlink);
}
