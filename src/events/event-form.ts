// The forms of the events' data once more, as plain descriptions: what has the form of its type is
// what its schema (event-schema.ts) would make of it, and the schema need not be asked, or loaded.
// What has not may still be accepted: then the schema is asked, and says why not. A test derives
// these from the schemas and compares; a type that is missing here costs time and nothing else.

import { isCidr, isIp, isMac } from "./address.ts";
import type { EventType } from "./event.ts";
import type { Form } from "./form.ts";
import { GIVEN_NAME, isNodeName } from "./name.ts";
import { isShallow } from "./network-config-keys.ts";
import { isWebhookUrl } from "./webhook.ts";

const ip = { kind: "text", is: isIp } as const;
const cidr = { kind: "text", is: isCidr } as const;
const mac = { kind: "text", is: isMac } as const;
const node = { kind: "text", is: isNodeName } as const;
const name = { kind: "text", pattern: GIVEN_NAME } as const;
const text = { kind: "text", max: 1024 } as const;
const positive = { kind: "whole", min: 1 } as const;
const natural = { kind: "whole", min: 0 } as const;
const flag = { kind: "flag" } as const;
const ttlSeconds = { kind: "whole", min: 1, max: 315_360_000 } as const;
const epoch = positive;
const subnets = { kind: "list", of: cidr, min: 1, max: 2 } as const;

function fields<F extends Readonly<Record<string, Form>>>(of: F) {
  return { kind: "fields", of } as const;
}

function orNull(of: Form): Form {
  return { kind: "orNull", of };
}

function list(of: Form, max: number): Form {
  return { kind: "list", of, max };
}

const member = fields({
  node,
  instance: text,
  publicIp: orNull(ip),
  publicIpv6: orNull(ip),
  vtepMac: orNull(mac),
  vtepMacV6: orNull(mac),
  backend: { kind: "word", of: ["vxlan", "host-gw", "udp", "alloc"] },
  underlay: fields({
    dev: { kind: "text", min: 1, max: 15 },
    mtu: { kind: "whole", min: 68, max: 65_535 },
    local: orNull(ip),
    localv6: orNull(ip),
    onlink: list(cidr, 64),
  }),
  ipMasq: flag,
  capabilities: list({ kind: "text", max: 64 }, 32),
  version: text,
});

/** In the order in which they are written. */
export const MEMBER_KEYS = Object.keys(member.of) as readonly (keyof typeof member.of)[];

const driftItem = fields({
  noun: { kind: "text", max: 16 },
  problem: { kind: "word", of: ["missing", "altered", "stray"] },
  found: orNull(text),
  wanted: orNull(text),
});

const answered = fields({
  subnet: cidr,
  peer: { kind: "text", min: 1, max: 300 },
  waitedUs: orNull(natural),
});

export const eventForms: { readonly [T in EventType]?: Form } = {
  FabricConfigured: fields({ config: { kind: "record", is: isShallow } }),
  PeerAdded: fields({ name, subnet: cidr, publicIp: ip, vtepMac: orNull(mac) }),
  PeerRemoved: fields({ name }),
  LeaseReserved: fields({ subnet: cidr, node: orNull(node), note: text }),
  LeaseRevoked: fields({ subnet: cidr, note: text }),
  // Not TokenCreated: a time is more than a form.
  TokenRevoked: fields({ name }),
  WebhookAdded: fields({
    name,
    url: { kind: "text", is: isWebhookUrl },
    types: list({ kind: "text", pattern: /^[A-Za-z]{1,64}$/ }, 64),
    nodes: list(node, 256),
  }),
  WebhookRemoved: fields({ name }),
  NodeJoined: member,
  NodeUpdated: member,
  NodeLeft: fields({ node, reason: text }),
  LeaseClaimed: fields({ node, epoch, subnets, ttlSeconds }),
  LeaseRenewed: fields({ node, epoch, subnets, ttlSeconds }),
  LeaseReleased: fields({ node, epoch, subnets }),
  LeaseExpired: fields({ node, owner: node, epoch, subnets }),
  NeighborMissed: fields({
    node,
    answered: list(answered, 256),
    unknown: list(fields({ address: ip, count: positive }), 32),
    suppressed: natural,
  }),
  NeighborAged: fields({ node, subnets: { kind: "list", of: cidr, min: 1, max: 256 } }),
  DriftHealed: fields({ node, count: positive, items: list(driftItem, 32) }),
  HostDegraded: fields({ node, problems: { kind: "list", of: text, min: 1, max: 32 } }),
  HostRecovered: fields({ node }),
  HostFrozen: fields({ node, reason: text }),
};
