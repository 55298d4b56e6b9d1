// Plans and differences as reads answer with them.

import { z } from "@hono/zod-openapi";
import { eventTypes } from "../events/event.ts";
import { PEER_PATHS } from "../reconcilers/plan.ts";
import { peerSchema } from "./schema-view.ts";

const strings = z.array(z.string()).readonly();
const objects = z.array(z.record(z.string(), z.unknown())).readonly();

const opSchema = z
  .object({
    verb: z.enum(["set", "del"]),
    noun: z.string(),
    key: z.string(),
    command: z.string().openapi({ description: "The ip, bridge, sysctl or nft command" }),
  })
  .openapi("Op", { description: "One change to a host's kernel" });

export const planSchema = z
  .object({
    node: z.string(),
    seq: z.int(),
    time: z.iso.datetime(),
    device: z.object({ name: z.string(), mtu: z.int() }).nullable(),
    problems: strings,
    peers: z
      .array(
        z.object({
          node: z.string(),
          subnets: strings,
          publicIp: z.string().nullable(),
          path: z.enum(PEER_PATHS),
          error: z.string().nullable(),
        }),
      )
      .readonly(),
    kernel: z.record(z.string(), objects),
    subnetEnv: z.string().nullable(),
    commands: strings,
  })
  .openapi("Plan", { description: "What a host's kernel should hold, and the commands for it" });

const end = z.object({ seq: z.int(), time: z.iso.datetime() });
const fields = z
  .array(z.object({ field: z.string(), from: z.unknown(), to: z.unknown() }))
  .readonly();
const leases = z.array(z.object({ node: z.string(), subnets: strings })).readonly();

export const fabricDiffSchema = z
  .object({
    from: end,
    to: end,
    config: fields,
    nodes: z.object({
      joined: strings,
      left: strings,
      changed: z.array(z.object({ node: z.string(), fields })).readonly(),
    }),
    leases: z.object({
      gained: leases,
      lost: leases,
      moved: z.array(z.object({ node: z.string(), from: strings, to: strings })).readonly(),
    }),
    reservations: z.object({ added: strings, removed: strings }),
    peers: z.object({
      added: z.array(peerSchema).readonly(),
      removed: z.array(peerSchema).readonly(),
      changed: z.array(z.object({ name: z.string(), fields })).readonly(),
    }),
  })
  .openapi("FabricDiff");

export const hostDiffSchema = z
  .object({ node: z.string(), from: end, to: end, ops: z.array(opSchema).readonly() })
  .openapi("HostDiff");

export const previewSchema = z
  .object({
    seq: z.int().openapi({ description: "Where the log stood: nothing was appended" }),
    events: z
      .array(
        z.object({
          type: z.enum(eventTypes),
          verdict: z.object({
            kind: z.enum(["accepted", "void", "quarantined"]),
            reason: z.string().optional(),
          }),
        }),
      )
      .openapi({ description: "What would become of each event" }),
    hosts: z.array(
      z.object({
        node: z.string(),
        problems: strings,
        ops: z.array(opSchema).readonly(),
      }),
    ),
  })
  .openapi("Preview");
