// What reads answer with, as the OpenAPI document describes it. views.ts makes these documents; its
// types and these schemas are held equal by the compiler, where the routes meet both.

import { z } from "@hono/zod-openapi";
import { eventTypes } from "../events/event.ts";
import { eventData } from "../events/event-schema.ts";

const seq = z.int().nonnegative();
const time = z.iso.datetime();
const subnets = z.array(z.string()).readonly();
const { node, instance, ...member } = eventData.NodeJoined.shape;

export const nodeSchema = z
  .object({
    node: z.string(),
    present: z.boolean(),
    subnets,
    publicIp: z.string().nullable(),
    publicIpv6: z.string().nullable(),
    backend: z.string(),
    vtepMac: z.string().nullable(),
    vtepMacV6: z.string().nullable(),
    underlay: member.underlay,
    ipMasq: z.boolean(),
    capabilities: z.array(z.string()).readonly(),
    version: z.string(),
    joinedSeq: seq,
    updatedSeq: seq,
    heardAt: time,
  })
  .openapi("Node");

export const leaseSchema = z
  .object({
    state: z.enum(["leased", "reserved"]),
    subnets,
    node: z.string().nullable(),
    epoch: z.int().nullable(),
    claimedSeq: seq.nullable(),
    claimedAt: time.nullable(),
    renewedAt: time.nullable(),
    ttlSeconds: z.int().nullable(),
    expiresAt: time.nullable(),
    note: z.string().nullable(),
  })
  .openapi("Lease");

export const peerSchema = z
  .object({
    name: z.string(),
    subnet: z.string(),
    publicIp: z.string(),
    vtepMac: z.string().nullable(),
  })
  .openapi("Peer");

const foldedNode = eventData.NodeJoined.extend({
  present: z.boolean(),
  joinedSeq: seq,
  updatedSeq: seq,
  heardMs: z.number(),
  epoch: z.int(),
  previous: subnets,
  revoked: subnets,
});

const foldedLease = z.object({
  node: z.string(),
  epoch: z.int(),
  subnets,
  claimedSeq: seq,
  claimedMs: z.number(),
  renewedMs: z.number(),
  ttlSeconds: z.int(),
  expiresMs: z.number(),
});

const quarantined = z.object({
  seq,
  timeMs: z.number(),
  subject: z.string(),
  type: z.enum(eventTypes).nullable(),
  reason: z.string(),
});

export const webhookSchema = z
  .object({
    name: z.string(),
    url: z.string(),
    types: z.array(z.string()).readonly().openapi({ description: "Empty for all" }),
    nodes: z.array(z.string()).readonly().openapi({ description: "Empty for all" }),
    addedSeq: seq.openapi({ description: "It hears of every event after this" }),
  })
  .openapi("Webhook");

export const stateSchema = z
  .object({
    fabric: z.string(),
    seq,
    changedSeq: seq,
    timeMs: z.number(),
    time: time.nullable(),
    config: z.record(z.string(), z.unknown()).nullable(),
    configSeq: seq,
    nodes: z.array(foldedNode).readonly(),
    leases: z.array(foldedLease).readonly(),
    reservations: z
      .array(z.object({ subnet: z.string(), node: z.string().nullable(), note: z.string() }))
      .readonly(),
    peers: z.array(peerSchema).readonly(),
    tokens: z
      .array(
        z.object({
          name: z.string(),
          scopes: z.array(z.enum(["read", "write", "admin"])).readonly(),
          expiresAt: z.string().nullable(),
        }),
      )
      .readonly(),
    webhooks: z.array(webhookSchema).readonly(),
    endpoints: z.record(z.string(), z.string()),
    quarantine: z.object({ count: z.int(), recent: z.array(quarantined).readonly() }),
  })
  .openapi("State", { description: "The fold of the log up to and including `seq`" });
