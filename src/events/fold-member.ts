// Who is in the fabric and how to reach it. Identity is the node name: a node keeps its lease
// across restarts, a new underlay address and a new MAC. What two nodes may not share is an
// endpoint: the kernels of all others could not tell them apart.

import { holderAt, settle } from "./endpoints.ts";
import type { Event, EventOf, Member } from "./event.ts";
import { MEMBER_KEYS } from "./event-form.ts";
import { dropLease, endpointsOf, withdraw } from "./fold-lease.ts";
import { type Known, nodeOf } from "./node.ts";
import type { FabricState } from "./state.ts";
import { accepted, lost, type Verdict } from "./verdict.ts";

/**
 * A name that another instance used this recently is not given away, whatever the newcomer
 * believes: of two hosts that start at once under one name, the second in the log is refused.
 */
export const NAME_GUARD_MS = 6000;

/**
 * A member without a lease that has not spoken for so long no longer keeps its addresses from
 * others: nothing else would ever end its membership, because only leases expire.
 */
const ABANDONED_MS = 600_000;

type Past = Pick<Known, "epoch" | "previous" | "revoked">;

/** Whoever was not here before. */
const NEWCOMER: Past = {
  epoch: 0,
  previous: [],
  revoked: [],
};

type MemberEvent = EventOf<"NodeJoined" | "NodeUpdated" | "NodeLeft">;

export function foldMember(state: FabricState, event: MemberEvent): Verdict {
  switch (event.type) {
    case "NodeJoined":
      return join(state, event.data);
    case "NodeUpdated":
      return update(state, event.data);
    case "NodeLeft":
      return leave(state, event.data.node);
  }
}

function join(state: FabricState, data: Member): Verdict {
  const known = state.nodes.get(data.node);
  const otherInstance = known?.present === true && known.instance !== data.instance;
  if (otherInstance && state.timeMs - known.heardMs < NAME_GUARD_MS) {
    return lost(`the name ${data.node} is in use by instance ${known.instance}`);
  }
  const inTheWay = othersAt(state, data);
  const clash = clashOf(state, inTheWay);
  if (clash !== null) return lost(clash);
  for (const [, holder] of inTheWay) evict(state, holder);
  if (known !== undefined) withdraw(state, known);
  enter(state, data, state.seq, known ?? NEWCOMER);
  return accepted;
}

function update(state: FabricState, data: Member): Verdict {
  const known = state.nodes.get(data.node);
  const stranger = notMember(state, data);
  if (known === undefined || stranger !== null) {
    return lost(stranger ?? `${data.node} has not joined`);
  }
  if (saysTheSame(known, data)) {
    // A present member holds its endpoints: nobody can be in its way.
    known.updatedSeq = state.seq;
    known.heardMs = state.timeMs;
    return accepted;
  }
  const inTheWay = othersAt(state, data);
  const clash = clashOf(state, inTheWay);
  if (clash !== null) return lost(clash);
  for (const [, holder] of inTheWay) evict(state, holder);
  withdraw(state, known);
  enter(state, data, known.joinedSeq, known);
  return accepted;
}

/** True for what a present member says of itself again, as far as it concerns any kernel. */
export function isRepeated({ nodes }: Readonly<FabricState>, event: Event): boolean {
  if (event.type !== "NodeJoined" && event.type !== "NodeUpdated") return false;
  const known = nodes.get(event.data.node);
  if (!known?.present) return false;
  return saysTheSame(known, event.data) || concerns(known) === concerns(event.data);
}

/** What plans are made of: not which program says it, nor on which boot. */
function concerns(member: Member): string {
  const { publicIp, publicIpv6, vtepMac, vtepMacV6, backend, ipMasq, capabilities } = member;
  const { dev, mtu, local, localv6, onlink } = member.underlay;
  const underlay = [dev, mtu, local, localv6, onlink];
  const ways = [publicIp, publicIpv6, vtepMac, vtepMacV6];
  return JSON.stringify([ways, backend, ipMasq, capabilities, underlay]);
}

/** True when nothing changed, as far as a look at each field tells; false may be wrong. */
function saysTheSame(known: Member, data: Member): boolean {
  for (const key of MEMBER_KEYS) if (known[key] !== data[key]) return false;
  return true;
}

/** Why `data` does not speak for a present member, or null. */
export function notMember(state: Readonly<FabricState>, data: Member): string | null {
  const known = state.nodes.get(data.node);
  if (!known?.present) return `${data.node} has not joined`;
  if (known.instance === data.instance) return null;
  return `${data.node} is now instance ${known.instance}`;
}

function leave(state: FabricState, name: string): Verdict {
  const known = state.nodes.get(name);
  if (!known?.present) return lost(`${name} has not joined`);
  dropLease(state, name);
  withdraw(state, known);
  return accepted;
}

function enter(state: FabricState, data: Member, joinedSeq: number, past: Past): void {
  const { seq: updatedSeq, timeMs: heardMs } = state;
  const { epoch, previous, revoked } = past;
  const known = { present: true, joinedSeq, updatedSeq, heardMs, epoch, previous, revoked };
  const node = nodeOf(data, known);
  state.nodes.set(node.node, node);
  for (const endpoint of endpointsOf(node)) settle(state.endpoints, endpoint, node.node);
}

/** Which other node answers at one of these endpoints, in words, or null. */
export function endpointClash(state: Readonly<FabricState>, data: Member): string | null {
  return clashOf(state, othersAt(state, data));
}

type Held = readonly [endpoint: string, holder: string];

/** Of the endpoints of `data` those where somebody else answers; asked for in each record. */
function othersAt({ endpoints }: Readonly<FabricState>, data: Member): readonly Held[] {
  const held: Held[] = [];
  for (const endpoint of endpointsOf(data)) {
    const holder = holderAt(endpoints, endpoint);
    if (holder !== undefined && holder !== data.node) held.push([endpoint, holder]);
  }
  return held;
}

function clashOf(state: Readonly<FabricState>, held: readonly Held[]): string | null {
  const clash = held.find(([, holder]) => !isAbandoned(state, holder));
  return clash === undefined ? null : `${clash[0]} belongs to ${clash[1]}`;
}

function isAbandoned(state: Readonly<FabricState>, holder: string): boolean {
  const node = state.nodes.get(holder);
  if (node === undefined || state.leases.has(holder)) return false;
  return state.timeMs - node.heardMs >= ABANDONED_MS;
}

function evict(state: FabricState, holder: string): void {
  const node = state.nodes.get(holder);
  if (node !== undefined) withdraw(state, node);
}
