// What fast-check draws for the log: names, prefixes, configurations, events, and whole histories
// of records as many honest, late, forged and broken writers would leave them. The universe is
// small on purpose (five hosts, a handful of subnets), so that writers get in each other's way.

import fc from "fast-check";
import { formatPrefix, networkBase } from "../../src/events/address.ts";
import { encode } from "../../src/events/codec.ts";
import { type Command, decide } from "../../src/events/decide.ts";
import type { Draft, EventType, Member } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import type { Recorded } from "../../src/events/log.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import type { Verdict } from "../../src/events/verdict.ts";
import { defaultMember } from "./history.ts";

export const FABRIC = "t";
export const START_MS = Date.UTC(2030, 0, 1);

const nodeName = fc.constantFrom("h1", "h2", "h3", "h4", "rack-5.example");
const peerName = fc.constantFrom("lb", "switch-1");
const ttlSeconds = fc.integer({ min: 1, max: 20 });

export const ipv4 = fc
  .tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  .map((octets) => octets.join("."));

/** Any prefix of either family without host bits. */
export const prefix = fc.oneof(
  fc
    .tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.integer({ min: 0, max: 32 }))
    .map(([base, length]) => masked("ipv4", base, length)),
  fc
    .tuple(fc.bigInt(0n, 2n ** 128n - 1n), fc.integer({ min: 0, max: 128 }))
    .map(([base, length]) => masked("ipv6", base, length)),
);

function masked(family: "ipv4" | "ipv6", base: bigint, length: number): string {
  return formatPrefix({ family, length, base: networkBase({ family, base, length }) });
}

/** Configurations whose pools overlap and differ in length, family and backend. */
export const config: fc.Arbitrary<Record<string, unknown>> = fc.constantFrom<
  Record<string, unknown>[]
>(
  { Network: "10.5.0.0/25", SubnetLen: 28 },
  { Network: "10.5.0.0/24", SubnetLen: 28, Backend: { Type: "host-gw" } },
  { Network: "10.5.0.0/25", SubnetLen: 29, SubnetMax: "10.5.0.24" },
  { Network: "10.5.0.0/25", SubnetLen: 28, Backend: { Mode: "head-end", Bridge: "br0" } },
  {
    EnableIPv4: false,
    EnableIPv6: true,
    IPv6Network: "fd00:5::/120",
    IPv6SubnetLen: 123,
    Backend: { Type: "vxlan", DirectRouting: true },
  },
  {
    EnableIPv6: true,
    Network: "10.5.0.0/25",
    SubnetLen: 28,
    IPv6Network: "fd00:5::/120",
    IPv6SubnetLen: 123,
  },
);

const subnet = fc.constantFrom(
  "10.5.0.16/28",
  "10.5.0.32/28",
  "10.5.0.48/28",
  "10.5.0.128/28",
  "10.5.0.8/29",
  "10.5.0.16/29",
  "fd00:5::20/123",
  "fd00:5::40/123",
  "10.9.0.0/24",
);
const subnets = fc.array(subnet, { minLength: 1, maxLength: 2 });
const epoch = fc.integer({ min: 1, max: 4 });

const member: fc.Arbitrary<Member> = fc
  .record({
    node: nodeName,
    boot: fc.nat(1),
    address: fc.integer({ min: 1, max: 6 }),
    onlink: fc.boolean(),
  })
  .map(({ node, boot, address, onlink }) => {
    const base = defaultMember(FABRIC, node);
    const publicIp = `198.18.0.${address}`;
    return {
      ...base,
      instance: `boot-${boot}`,
      publicIp,
      publicIpv6: `2001:db8::${address}`,
      underlay: { ...base.underlay, local: publicIp, onlink: onlink ? ["198.18.0.0/24"] : [] },
    };
  });

const peer = fc.record({
  name: peerName,
  subnet: fc.oneof(subnet, fc.constant("10.5.0.0/26")),
  publicIp: fc.constantFrom("198.18.0.6", "198.18.9.9"),
  vtepMac: fc.constantFrom(null, "02:00:00:00:00:01"),
});

const note = fc.constantFrom("", "for the lab");
const node = nodeName;

/** One drawer per type; the table is complete because its type says so. */
const dataOf: { readonly [T in EventType]: fc.Arbitrary<Extract<Draft, { type: T }>["data"]> } = {
  FabricConfigured: fc.record({ config }),
  PeerAdded: peer,
  PeerRemoved: fc.record({ name: peerName }),
  LeaseReserved: fc.record({ subnet, node: fc.option(nodeName), note }),
  LeaseRevoked: fc.record({ subnet, note }),
  TokenCreated: fc.record({
    name: peerName,
    hash: fc.constant("ab".repeat(32)),
    scopes: fc.constant(["read" as const]),
    expiresAt: fc.constantFrom(null, "2031-01-01T00:00:00Z"),
  }),
  TokenRevoked: fc.record({ name: peerName }),
  WebhookAdded: fc.record({
    name: peerName,
    url: fc.constantFrom("https://ci.example/heddle", "http://198.18.0.9:8080/?a=b"),
    types: fc.subarray(["NodeJoined", "LeaseClaimed", "HostFrozen"]),
    nodes: fc.uniqueArray(nodeName, { maxLength: 3 }),
  }),
  WebhookRemoved: fc.record({ name: peerName }),
  NodeJoined: member,
  NodeUpdated: member,
  NodeLeft: fc.record({ node, reason: note }),
  LeaseClaimed: fc.record({ node, epoch, subnets, ttlSeconds }),
  LeaseRenewed: fc.record({ node, epoch, subnets, ttlSeconds }),
  LeaseReleased: fc.record({ node, epoch, subnets }),
  LeaseExpired: fc.record({ node, owner: nodeName, epoch, subnets }),
  NeighborMissed: fc.record({
    node,
    answered: fc.array(
      fc.record({
        subnet,
        peer: nodeName,
        waitedUs: fc.option(fc.nat(5_000_000)),
      }),
      { maxLength: 3 },
    ),
    unknown: fc.array(
      fc.record({ address: fc.constantFrom("10.5.9.9", "fd00:5::99"), count: fc.constant(2) }),
      { maxLength: 2 },
    ),
    suppressed: fc.nat(9),
  }),
  NeighborAged: fc.record({ node, subnets }),
  DriftHealed: fc.record({
    node,
    count: fc.integer({ min: 1, max: 9 }),
    items: fc.constant([
      { noun: "route", problem: "missing" as const, found: null, wanted: "10.5.0.16/28" },
    ]),
  }),
  HostDegraded: fc.record({ node, problems: fc.constant(["underlay device eth0 is down"]) }),
  HostRecovered: fc.record({ node }),
  HostFrozen: fc.record({ node, reason: note }),
};

const eventTypesDrawn = Object.keys(dataOf) as readonly EventType[];

/** Any event of the right form, sensible or not. */
export const draft: fc.Arbitrary<Draft> = fc.oneof(
  ...eventTypesDrawn.map((type) => dataOf[type].map((data) => ({ type, data }) as Draft)),
);

/** What honest hosts and operators ask for. */
export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 1, arbitrary: config.map((document) => ({ type: "Configure" as const, document })) },
  { weight: 5, arbitrary: member.map((m) => ({ type: "Join" as const, member: m })) },
  { weight: 1, arbitrary: member.map((m) => ({ type: "Update" as const, member: m })) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("Leave" as const), node, reason: note }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("Claim" as const), node, ttlSeconds }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("Renew" as const), node, ttlSeconds }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("Release" as const), node }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("Expire" as const), node, owner: nodeName }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("Reserve" as const),
      subnet,
      node: fc.option(nodeName),
      note,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("Revoke" as const), subnet, note }) },
  { weight: 1, arbitrary: peer.map((data) => ({ type: "AddPeer" as const, ...data })) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("RemovePeer" as const), name: peerName }),
  },
);

const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.json().map((text) => new TextEncoder().encode(text)),
  draft.map((d) => encode(d, "x").slice(1)),
  fc
    .record({ type: fc.constantFrom(...eventTypesDrawn), v: fc.nat(3), data: fc.jsonValue() })
    .map((body) => new TextEncoder().encode(JSON.stringify({ ...body, id: "i" }))),
);

export type Step =
  | { readonly kind: "command"; readonly command: Command; readonly afterMs: number }
  | { readonly kind: "draft"; readonly draft: Draft; readonly afterMs: number }
  | { readonly kind: "forged"; readonly draft: Draft; readonly afterMs: number }
  | {
      readonly kind: "bytes";
      readonly subject: string;
      readonly payload: Uint8Array;
      readonly afterMs: number;
    };

/** Mostly short; backwards now and then, as a server's clock that was set. */
const afterMs = fc.oneof(
  { weight: 9, arbitrary: fc.nat(8000) },
  { weight: 1, arbitrary: fc.integer({ min: -3000, max: 60_000 }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant("command" as const), command, afterMs }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("draft" as const), draft, afterMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forged" as const), draft, afterMs }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("bytes" as const),
      subject: fc.oneof(
        fc.string(),
        draft.map((d) => subjectOf(FABRIC, d)),
      ),
      payload: garbage,
      afterMs,
    }),
  },
);

/** A log begins with a configuration more often than not. */
export const steps: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.option(
      config.map((document): Step => {
        return { kind: "command", command: { type: "Configure", document }, afterMs: 0 };
      }),
      { freq: 9 },
    ),
    fc.array(step, { maxLength: 60 }),
  )
  .map(([first, rest]) => (first === null ? rest : [first, ...rest]));

export interface Told {
  readonly records: readonly Recorded[];
  readonly verdicts: readonly Verdict[];
  readonly state: FabricState;
}

/** Writes the steps into a log; commands are decided on the state at their place. */
export function tell(
  all: readonly Step[],
  onRecord: (record: Recorded, state: FabricState, verdict: Verdict) => void = () => undefined,
): Told {
  const state = initialState(FABRIC);
  const records: Recorded[] = [];
  const verdicts: Verdict[] = [];
  let timeMs = START_MS;
  for (const each of all) {
    timeMs += each.afterMs;
    for (const { subject, payload } of messages(state, each)) {
      const record = { seq: state.seq + 1, timeMs, subject, payload };
      const { verdict } = fold(state, record);
      records.push(record);
      verdicts.push(verdict);
      onRecord(record, state, verdict);
    }
  }
  return { records, verdicts, state };
}

type Message = Pick<Recorded, "subject" | "payload">;

function messages(state: FabricState, each: Step): readonly Message[] {
  const id = `id-${state.seq + 1}`;
  switch (each.kind) {
    case "command": {
      const decision = decide(state, each.command);
      return decision.ok ? decision.events.map((event) => messageOf(event, id)) : [];
    }
    case "draft":
      return [messageOf(each.draft, id)];
    case "forged": {
      const { payload } = messageOf(each.draft, id);
      return [{ payload, subject: `heddle.${FABRIC}.node.somebody-else.lease` }];
    }
    case "bytes":
      return [{ subject: each.subject, payload: each.payload }];
  }
}

export function messageOf(event: Draft, id: string): Message {
  return { subject: subjectOf(FABRIC, event), payload: encode(event, id) };
}

/** Every history of records that `tell` can write. */
export const history: fc.Arbitrary<readonly Recorded[]> = steps.map((all) => tell(all).records);
