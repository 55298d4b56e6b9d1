// Everything that can happen to the network: one zod schema per event type and version. A published
// shape is never edited; a new one gets the next version and an upcaster (upcast.ts). The schemas
// check form (addresses canonical, names valid); whether an event is allowed is the fold's
// question.
//
// Loaded when data is met that event-form.ts does not know as right, or by who describes them: an
// agent whose log is as it should be never does (late.ts).

import { z } from "zod";
import { isCidr, isIp, isMac } from "./address.ts";
import { GIVEN_NAME, isNodeName } from "./name.ts";
import { isShallow } from "./network-config-keys.ts";
import { isWebhookUrl } from "./webhook.ts";

const ip = z.string().refine(isIp, "expected a canonical IP address");
const cidr = z.string().refine(isCidr, "expected a canonical prefix");
const mac = z.string().refine(isMac, "expected a unicast MAC address");
const nodeName = z.string().refine(isNodeName, "expected a node name");
const name = z.string().regex(GIVEN_NAME, "expected a name");
const text = z.string().max(1024);
const epoch = z.int().positive();
const subnets = z.array(cidr).min(1).max(2);
/** A lease may last from one second to ten years. */
const ttlSeconds = z.int().min(1).max(315_360_000);

const backendType = z.enum(["vxlan", "host-gw", "udp", "alloc"]);

/** What a node says about itself; complete each time, so that the last one is the truth. */
const member = z.object({
  node: nodeName,
  /** Which kernel this is (boot and network namespace): tells a restart from a second host. */
  instance: text,
  publicIp: ip.nullable(),
  publicIpv6: ip.nullable(),
  vtepMac: mac.nullable(),
  vtepMacV6: mac.nullable(),
  backend: backendType,
  /** The device that carries the tunnel or the routes, as the host sees it. */
  underlay: z.object({
    dev: z.string().min(1).max(15),
    mtu: z.int().min(68).max(65_535),
    /** Source addresses of outer packets; differ from publicIp behind a NAT. */
    local: ip.nullable(),
    localv6: ip.nullable(),
    /** Prefixes reachable without a gateway through `dev`: who can be routed to directly. */
    onlink: z.array(cidr).max(64),
  }),
  /** Whether the host masquerades traffic that leaves the fabric. */
  ipMasq: z.boolean(),
  /** What this host's forwarding path can do beyond the plain wire format. */
  capabilities: z.array(z.string().max(64)).max(32),
  version: text,
});

const driftItem = z.object({
  noun: z.string().max(16),
  /** `missing`, `altered` or `stray`. */
  problem: z.enum(["missing", "altered", "stray"]),
  found: text.nullable(),
  wanted: text.nullable(),
});

/** Schemas of the data by type, at the current version. */
export const eventData = {
  FabricConfigured: z.object({
    // Not z.json(): it recurses as deep as the payload goes, and overflows the stack.
    config: z.record(z.string(), z.unknown()).refine(isShallow, "nested too deeply"),
  }),
  PeerAdded: z.object({ name, subnet: cidr, publicIp: ip, vtepMac: mac.nullable() }),
  PeerRemoved: z.object({ name }),
  LeaseReserved: z.object({ subnet: cidr, node: nodeName.nullable(), note: text }),
  LeaseRevoked: z.object({ subnet: cidr, note: text }),
  TokenCreated: z.object({
    name,
    /** SHA-256 of the token, hex; the token itself is never in the log. */
    hash: z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in hex"),
    scopes: z
      .array(z.enum(["read", "write", "admin"]))
      .min(1)
      .max(3),
    expiresAt: z.iso.datetime().nullable(),
  }),
  TokenRevoked: z.object({ name }),
  WebhookAdded: z.object({
    name,
    url: z.string().refine(isWebhookUrl, "expected an http or https URL"),
    /** Which events; empty for all. Not an enum: a later program may know more types. */
    types: z.array(z.string().regex(/^[A-Za-z]{1,64}$/, "expected an event type")).max(64),
    /** Events of which nodes; empty for all. */
    nodes: z.array(nodeName).max(256),
  }),
  WebhookRemoved: z.object({ name }),
  NodeJoined: member,
  NodeUpdated: member,
  NodeLeft: z.object({ node: nodeName, reason: text }),
  LeaseClaimed: z.object({ node: nodeName, epoch, subnets, ttlSeconds }),
  LeaseRenewed: z.object({ node: nodeName, epoch, subnets, ttlSeconds }),
  LeaseReleased: z.object({ node: nodeName, epoch, subnets }),
  /** `node` proposes that the lease of `owner` is over; the log's own time decides. */
  LeaseExpired: z.object({ node: nodeName, owner: nodeName, epoch, subnets }),
  /** What the kernel of `node` asked for since it last said so; at most one a second. */
  NeighborMissed: z.object({
    node: nodeName,
    /** Whose entries it holds from here on. */
    answered: z
      .array(
        z.object({
          subnet: cidr,
          /** Node name, or `peer:<name>`. */
          peer: z.string().min(1).max(300),
          /** From the question to the entry being there; null for one that was found in place. */
          waitedUs: z.int().nonnegative().nullable(),
        }),
      )
      .max(256),
    /** Addresses that nobody owns. */
    unknown: z.array(z.object({ address: ip, count: z.int().positive() })).max(32),
    /** Further questions about such addresses. */
    suppressed: z.int().nonnegative(),
  }),
  /** Peers whose entries `node` no longer holds. */
  NeighborAged: z.object({ node: nodeName, subnets: z.array(cidr).min(1).max(256) }),
  DriftHealed: z.object({
    node: nodeName,
    /** How many objects were put right; `items` holds at most the first 32. */
    count: z.int().positive(),
    items: z.array(driftItem).max(32),
  }),
  HostDegraded: z.object({ node: nodeName, problems: z.array(text).min(1).max(32) }),
  HostRecovered: z.object({ node: nodeName }),
  HostFrozen: z.object({ node: nodeName, reason: text }),
} as const;

export type EventData = typeof eventData;
export type Member = z.output<typeof member>;
export type BackendType = z.output<typeof backendType>;
export type DriftItem = z.output<typeof driftItem>;
