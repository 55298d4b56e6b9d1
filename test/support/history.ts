// A log for tests, written as a story: history("t").config({...}).join("h1").claim("h1", [...]).
// Every step is a real event, encoded, put on its subject and folded, so that a state in a test is
// a state that can happen. A step that the fold does not accept throws, unless the test asks for
// it.

import { encode } from "../../src/events/codec.ts";
import type { Draft, Member } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import type { Recorded } from "../../src/events/log.ts";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import type { Verdict } from "../../src/events/verdict.ts";
import { vtepMac } from "../../src/events/vtep-mac.ts";

export type MemberPart = Partial<Omit<Member, "underlay">> & {
  readonly underlay?: Partial<Member["underlay"]>;
};

export interface History {
  readonly records: readonly Recorded[];
  /** What the fold said about each record. */
  readonly verdicts: readonly Verdict[];
  /** Appends any event; with `expect` the fold must judge it so instead of accepting it. */
  append(draft: Draft, expect?: Verdict["kind"]): History;
  /** Lets the log's own time pass. */
  wait(ms: number): History;
  /** A configuration document as a person writes it; defaults are filled in as `init` does. */
  config(document: unknown): History;
  join(node: string, part?: MemberPart): History;
  update(node: string, part: MemberPart): History;
  leave(node: string): History;
  claim(node: string, subnets: readonly string[], ttlSeconds?: number): History;
  release(node: string): History;
  peer(name: string, subnet: string, publicIp: string, vtepMac?: string | null): History;
  removePeer(name: string): History;
  /** The state after all steps so far; later steps change it in place. */
  state(): Readonly<FabricState>;
}

/** 2030-01-01: far from any real clock, so that a clock that leaks in is noticed. */
const START_MS = Date.UTC(2030, 0, 1);

/** `follow` is the node whose held entries the state shows. */
export function history(fabric: string, follow: string | null = null): History {
  const state = initialState(fabric, follow);
  const records: Recorded[] = [];
  const verdicts: Verdict[] = [];
  let timeMs = START_MS;

  const self: History = {
    records,
    verdicts,
    append(draft, expect = "accepted") {
      const seq = state.seq + 1;
      timeMs += 1;
      const payload = encode(draft, `id-${seq}`);
      const record: Recorded = { seq, timeMs, subject: subjectOf(fabric, draft), payload };
      const { verdict } = fold(state, record);
      records.push(record);
      verdicts.push(verdict);
      if (verdict.kind !== expect) {
        throw new Error(`#${seq} ${draft.type}: ${JSON.stringify(verdict)}, not ${expect}`);
      }
      return self;
    },
    wait(ms) {
      timeMs += ms;
      return self;
    },
    config(document) {
      const parsed = parseNetworkConfig(document);
      if (!parsed.ok) throw new Error(parsed.reason);
      return self.append({ type: "FabricConfigured", data: { config: parsed.document } });
    },
    join: (node, part = {}) =>
      self.append({ type: "NodeJoined", data: mix(defaultMember(fabric, node), part) }),
    update(node, part) {
      const known = state.nodes.get(node);
      if (known === undefined) throw new Error(`${node} never joined`);
      return self.append({ type: "NodeUpdated", data: mix(known, part) });
    },
    leave: (node) => self.append({ type: "NodeLeft", data: { node, reason: "asked to" } }),
    claim(node, subnets, ttlSeconds = 86_400) {
      const epoch = (state.nodes.get(node)?.epoch ?? 0) + 1;
      const data = { node, epoch, subnets: [...subnets], ttlSeconds };
      return self.append({ type: "LeaseClaimed", data });
    },
    release(node) {
      const lease = state.leases.get(node);
      if (lease === undefined) throw new Error(`${node} has no lease`);
      const data = { node, epoch: lease.epoch, subnets: [...lease.subnets] };
      return self.append({ type: "LeaseReleased", data });
    },
    peer: (name, subnet, publicIp, mac = null) =>
      self.append({ type: "PeerAdded", data: { name, subnet, publicIp, vtepMac: mac } }),
    removePeer: (name) => self.append({ type: "PeerRemoved", data: { name } }),
    state: () => state,
  };
  return self;
}

/** A vxlan member with both families, told apart by the number at the end of its name. */
export function defaultMember(fabric: string, node: string): Member {
  const number = Number(/\d+$/.exec(node)?.[0] ?? 1);
  const publicIp = `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  const publicIpv6 = `2001:db8::${number.toString(16)}`;
  return {
    node,
    instance: `boot-of-${node}`,
    publicIp,
    publicIpv6,
    vtepMac: vtepMac(fabric, node, "ipv4"),
    vtepMacV6: vtepMac(fabric, node, "ipv6"),
    backend: "vxlan",
    underlay: {
      dev: "eth0",
      mtu: 1500,
      local: publicIp,
      localv6: publicIpv6,
      onlink: ["198.18.0.0/15", "2001:db8::/64"],
    },
    ipMasq: false,
    capabilities: [],
    version: "test",
  };
}

/** `Member` only: a folded node carries more than it may say about itself. */
function mix(base: Member, part: MemberPart): Member {
  const { node, instance, publicIp, publicIpv6, vtepMac: mac4, vtepMacV6, backend } = base;
  const { underlay, ipMasq, capabilities, version } = base;
  return {
    node,
    instance,
    publicIp,
    publicIpv6,
    vtepMac: mac4,
    vtepMacV6,
    backend,
    ipMasq,
    capabilities,
    version,
    ...part,
    underlay: { ...underlay, ...part.underlay },
  };
}
