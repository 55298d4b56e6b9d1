// Commands to events, or a reasoned refusal. It answers from the state the caller has, which may be
// a moment old: what it lets through can still turn out void at its place in the log, so a refusal
// here saves a round trip and gives a clear message, and the fold stays the arbiter. To keep the
// two from disagreeing it tries each draft on the fold's own rules wherever that is possible.

import type { Cidr } from "./address.ts";
import { allocate } from "./allocate.ts";
import type { Draft, Member } from "./event.ts";
import { peerClash } from "./fold-admin.ts";
import { takenBy } from "./fold-lease.ts";
import { endpointClash, notMember } from "./fold-member.ts";
import { parseNetworkConfig } from "./network-config.ts";
import { inPool } from "./pool.ts";
import type { FabricState, ForeignPeer, Token } from "./state.ts";
import { WEBHOOKS_MAX, type WebhookTarget } from "./webhook.ts";

export type Command =
  | { readonly type: "Configure"; readonly document: unknown }
  | { readonly type: "Join"; readonly member: Member }
  | { readonly type: "Update"; readonly member: Member }
  | { readonly type: "Leave"; readonly node: string; readonly reason: string }
  | {
      readonly type: "Claim";
      readonly node: string;
      readonly ttlSeconds: number;
      /** Subnets that it would like to have again although this log does not know of them. */
      readonly former?: readonly Cidr[];
    }
  | { readonly type: "Renew"; readonly node: string; readonly ttlSeconds: number }
  | { readonly type: "Release"; readonly node: string }
  | { readonly type: "Expire"; readonly node: string; readonly owner: string }
  | {
      readonly type: "Reserve";
      readonly subnet: Cidr;
      readonly node: string | null;
      readonly note: string;
    }
  | { readonly type: "Revoke"; readonly subnet: Cidr; readonly note: string }
  | ({ readonly type: "AddPeer" } & ForeignPeer)
  | { readonly type: "RemovePeer"; readonly name: string }
  | ({ readonly type: "CreateToken" } & Token)
  | { readonly type: "RevokeToken"; readonly name: string }
  | ({ readonly type: "AddWebhook" } & WebhookTarget)
  | { readonly type: "RemoveWebhook"; readonly name: string };

export type Decision =
  | { readonly ok: true; readonly events: readonly Draft[] }
  | { readonly ok: false; readonly reason: string };

export function decide(state: Readonly<FabricState>, command: Command): Decision {
  switch (command.type) {
    case "Configure":
      return configure(command.document);
    case "Join":
    case "Update":
      return member(state, command);
    case "Leave":
      return leave(state, command.node, command.reason);
    case "Claim":
      return claim(state, command);
    case "Renew":
      return held(state, command.node, (lease) => ({
        type: "LeaseRenewed",
        data: { ...lease, ttlSeconds: command.ttlSeconds },
      }));
    case "Release":
      return held(state, command.node, (lease) => ({ type: "LeaseReleased", data: lease }));
    case "Expire":
      return expire(state, command.node, command.owner);
    case "Reserve":
      return reserve(state, command);
    case "Revoke":
      return revoke(state, command.subnet, command.note);
    case "AddPeer":
      return addPeer(state, command);
    case "RemovePeer":
      return state.peers.has(command.name)
        ? one({ type: "PeerRemoved", data: { name: command.name } })
        : refuse(`no peer named ${command.name}`);
    case "CreateToken":
      return createToken(state, command);
    case "RevokeToken":
      return state.tokens.has(command.name)
        ? one({ type: "TokenRevoked", data: { name: command.name } })
        : refuse(`no token named ${command.name}`);
    case "AddWebhook":
      return addWebhook(state, command);
    case "RemoveWebhook":
      return state.webhooks.has(command.name)
        ? one({ type: "WebhookRemoved", data: { name: command.name } })
        : refuse(`no webhook named ${command.name}`);
  }
}

function configure(document: unknown): Decision {
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) return refuse(parsed.reason);
  return one({ type: "FabricConfigured", data: { config: parsed.document } });
}

function member(
  state: Readonly<FabricState>,
  command: { readonly type: "Join" | "Update"; readonly member: Member },
): Decision {
  const fault =
    (command.type === "Update" ? notMember(state, command.member) : null) ??
    endpointClash(state, command.member);
  if (fault !== null) return refuse(fault);
  return one({
    type: command.type === "Join" ? "NodeJoined" : "NodeUpdated",
    data: command.member,
  });
}

function leave(state: Readonly<FabricState>, node: string, reason: string): Decision {
  if (!state.nodes.get(node)?.present) return refuse(`${node} is not in the fabric`);
  const release = decide(state, { type: "Release", node });
  const released = release.ok ? release.events : [];
  return { ok: true, events: [...released, { type: "NodeLeft", data: { node, reason } }] };
}

function claim(
  state: Readonly<FabricState>,
  { node: name, ttlSeconds, former }: Extract<Command, { type: "Claim" }>,
): Decision {
  const node = state.nodes.get(name);
  if (!node?.present) return refuse(`${name} has not joined`);
  const lease = state.leases.get(name);
  if (lease !== undefined) return refuse(`${name} holds ${lease.subnets.join(", ")}`);
  const allocation = allocate(state, name, former);
  if (!allocation.ok) return refuse(allocation.reason);
  const subnets = [...allocation.subnets];
  return one({
    type: "LeaseClaimed",
    data: { node: name, epoch: node.epoch + 1, subnets, ttlSeconds },
  });
}

type LeaseName = { node: string; epoch: number; subnets: Cidr[] };

function held(
  state: Readonly<FabricState>,
  node: string,
  draft: (lease: LeaseName) => Draft,
): Decision {
  const lease = state.leases.get(node);
  if (lease === undefined) return refuse(`${node} holds no lease`);
  return one(draft({ node, epoch: lease.epoch, subnets: [...lease.subnets] }));
}

function expire(state: Readonly<FabricState>, node: string, owner: string): Decision {
  return held(state, owner, (lease) => ({
    type: "LeaseExpired",
    data: { node, owner, epoch: lease.epoch, subnets: lease.subnets },
  }));
}

function reserve(
  state: Readonly<FabricState>,
  data: { readonly subnet: Cidr; readonly node: string | null; readonly note: string },
): Decision {
  const { config } = state;
  const pools = [config?.ipv4 ?? null, config?.ipv6 ?? null].filter((pool) => pool !== null);
  if (!pools.some((pool) => inPool(pool, data.subnet))) {
    return refuse(`${data.subnet} is not a subnet of the pool`);
  }
  const taken = takenBy(state, data.subnet, data.node ?? "");
  if (taken?.startsWith("belongs to")) return refuse(`${data.subnet} ${taken}`);
  const { subnet, node, note } = data;
  return one({ type: "LeaseReserved", data: { subnet, node, note } });
}

function revoke(state: Readonly<FabricState>, subnet: Cidr, note: string): Decision {
  if (!state.owners.has(subnet) && !state.reservations.has(subnet)) {
    return refuse(`${subnet} is neither leased nor reserved`);
  }
  return one({ type: "LeaseRevoked", data: { subnet, note } });
}

function addPeer(state: Readonly<FabricState>, peer: ForeignPeer): Decision {
  const { name, subnet, publicIp, vtepMac } = peer;
  const data = { name, subnet, publicIp, vtepMac };
  const clash = peerClash(state, data);
  return clash === null ? one({ type: "PeerAdded", data }) : refuse(clash);
}

/** The fold would let a second token take the name over; nobody could tell the two apart. */
function createToken(state: Readonly<FabricState>, token: Token): Decision {
  const { name, hash, scopes, expiresAt } = token;
  if (state.tokens.has(name)) return refuse(`there is a token named ${name}`);
  return one({ type: "TokenCreated", data: { name, hash, scopes: [...scopes], expiresAt } });
}

function addWebhook(state: Readonly<FabricState>, target: WebhookTarget): Decision {
  const { name, url, types, nodes } = target;
  if (state.webhooks.has(name)) return refuse(`there is a webhook named ${name}: remove it first`);
  if (state.webhooks.size >= WEBHOOKS_MAX) return refuse(`there are ${WEBHOOKS_MAX} webhooks`);
  return one({
    type: "WebhookAdded",
    data: { name, url, types: [...types], nodes: [...nodes] },
  });
}

function one(event: Draft): Decision {
  return { ok: true, events: [event] };
}

function refuse(reason: string): Decision {
  return { ok: false, reason };
}
