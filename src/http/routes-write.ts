// Changes: foreign peers, reservations, revocations, the configuration. Every one answers with the
// sequence to wait for (GET /v1/converged), and honours Idempotency-Key.

import { createRoute, z } from "@hono/zod-openapi";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { cidr, ip, jsonBody, mac, nodeName, peerName } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";
import { headers, responses, responsesOfDelete, write } from "./write-request.ts";

const note = z.string().max(1024).default("");

const peerBody = z
  .strictObject({
    name: peerName,
    subnet: cidr,
    publicIp: ip,
    vtepMac: mac.nullable().default(null),
  })
  .openapi("NewPeer");

const reservationBody = z
  .strictObject({
    subnet: cidr,
    node: nodeName.nullable().default(null).openapi({ description: "null keeps it out of use" }),
    note,
  })
  .openapi("NewReservation");

const revocationBody = z.strictObject({ subnet: cidr, note }).openapi("NewRevocation");

const configBody = z.record(z.string(), z.unknown()).openapi("Config", {
  description: "flannel's net-conf.json",
  example: { Network: "10.5.0.0/16" },
});

export function peerWrites(deps: HookDeps) {
  const guard = guarded("write", deps.follower);
  const tags = ["peers"];
  const add = createRoute({
    ...({ method: "post", path: "/v1/peers", tags, ...guard, responses } as const),
    summary: "Add a foreign VTEP and the subnet behind it, or change it",
    request: { headers, body: jsonBody(peerBody) },
  });
  const remove = createRoute({
    ...({ method: "delete", path: "/v1/peers/{name}", tags, ...guard } as const),
    summary: "Remove a foreign VTEP",
    request: { headers, params: z.object({ name: peerName }) },
    responses: responsesOfDelete,
  });
  return createRouter()
    .openapi(add, async (c) =>
      c.json(await write(c, deps, { type: "AddPeer", ...c.req.valid("json") }), 200),
    )
    .openapi(remove, async (c) => {
      const { name } = c.req.valid("param");
      return c.json(await write(c, deps, { type: "RemovePeer", name }), 200);
    });
}

export function leaseWrites(deps: HookDeps) {
  const tags = ["leases"];
  const reserve = createRoute({
    ...({ method: "post", path: "/v1/leases/reservations", tags, responses } as const),
    ...guarded("write", deps.follower),
    summary: "Keep a subnet of the pool for one node, or out of use",
    request: { headers, body: jsonBody(reservationBody) },
  });
  const free = createRoute({
    ...({ method: "delete", path: "/v1/leases/reservations", tags } as const),
    ...guarded("write", deps.follower),
    summary: "End a reservation that nobody uses",
    request: { headers, query: z.strictObject({ subnet: cidr }) },
    responses: responsesOfDelete,
  });
  const revoke = createRoute({
    ...({ method: "post", path: "/v1/leases/revocations", tags } as const),
    ...guarded("admin", deps.follower),
    summary: "Take a subnet from its holder; a living holder claims another",
    request: { headers, body: jsonBody(revocationBody) },
    responses: { ...responses, ...problems(404) },
  });
  return createRouter()
    .openapi(reserve, async (c) =>
      c.json(await write(c, deps, { type: "Reserve", ...c.req.valid("json") }), 200),
    )
    .openapi(free, async (c) => {
      const { subnet } = c.req.valid("query");
      await deps.follower.fresh();
      const owner = deps.follower.state().owners.get(subnet);
      // Revoking is one event for both, and this scope is not for taking leases.
      if (owner !== undefined) throw new Problem(409, `${subnet} is leased by ${owner}`);
      return c.json(await write(c, deps, { type: "Revoke", subnet, note: "" }), 200);
    })
    .openapi(revoke, async (c) =>
      c.json(await write(c, deps, { type: "Revoke", ...c.req.valid("json") }), 200),
    );
}

export function configWrites(deps: HookDeps) {
  const configure = createRoute({
    ...({ method: "post", path: "/v1/config", tags: ["config"] as string[], responses } as const),
    ...guarded("admin", deps.follower),
    summary: "Set the network configuration; running agents follow without a restart",
    request: { headers, body: jsonBody(configBody) },
  });
  return createRouter().openapi(configure, async (c) =>
    c.json(await write(c, deps, { type: "Configure", document: c.req.valid("json") }), 200),
  );
}
