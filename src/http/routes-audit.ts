// GET /v1/audit/checkpoint, /proof, /consistency, /export: what an auditor needs to hold this
// server to what it once signed. Hashes are base64, as in the checkpoint.

import { createRoute, z } from "@hono/zod-openapi";
import type { ExportLine } from "../events/audit-export.ts";
import { exportLines } from "./audit-export.ts";
import type { Auditor } from "./auditor.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { numberParam } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";

const CHUNK_CHARS = 65_536;

const hashes = z.array(z.base64()).readonly();
const place = numberParam(1, Number.MAX_SAFE_INTEGER, "A sequence");

const checkpointSchema = z
  .object({
    checkpoint: z.string().openapi({ description: "The signed note, as C2SP tlog-checkpoint" }),
    size: z.int().positive().openapi({ description: "Records 1 to this are covered" }),
    root: z.base64(),
  })
  .openapi("Checkpoint");

const proofSchema = z
  .object({
    seq: z.int().positive(),
    size: z.int().positive(),
    path: hashes.openapi({ description: "From the leaf upwards (RFC 9162 section 2.1.3)" }),
  })
  .openapi("InclusionProof");

const consistencySchema = z
  .object({
    from: z.int().positive(),
    to: z.int().positive(),
    proof: hashes.openapi({ description: "RFC 9162 section 2.1.4" }),
  })
  .openapi("ConsistencyProof");

export function auditRoutes(deps: HookDeps) {
  const { audit, follower } = deps;
  const read = guarded("read", follower);
  return createRouter()
    .openapi(
      createRoute({
        ...describe("checkpoint", "The newest signed checkpoint of the log", checkpointSchema),
        ...read,
      }),
      (c) => {
        const found = audit.newest();
        if (found === null) throw unsigned(audit);
        const { size, root } = found.checkpoint;
        return c.json({ checkpoint: found.text, size, root: root.toBase64() }, 200);
      },
    )
    .openapi(
      createRoute({
        ...describe("proof", "Proof that the log of `size` records holds `seq`", proofSchema),
        request: {
          query: z.object({
            seq: place,
            size: place.optional(),
          }),
        },
        ...read,
      }),
      (c) => {
        const { seq, ...query } = c.req.valid("query");
        const size = query.size ?? signedSize(audit);
        refuseBeyond(audit, "size", size);
        if (seq > size) throw new Problem(404, `query parameter seq: ${seq} is beyond ${size}`);
        const path = audit.tree.inclusion(seq - 1, size);
        return c.json({ seq, size, path: path.map((hash) => hash.toBase64()) }, 200);
      },
    )
    .openapi(
      createRoute({
        ...describe(
          "consistency",
          "Proof that the log of `from` records is the beginning of that of `to`",
          consistencySchema,
        ),
        request: {
          query: z.object({
            from: place,
            to: place.optional(),
          }),
        },
        ...read,
      }),
      (c) => {
        const { from, ...query } = c.req.valid("query");
        const to = query.to ?? signedSize(audit);
        refuseBeyond(audit, "to", to);
        if (from > to) throw new Problem(400, `query parameter from: ${from} is beyond ${to}`);
        const proof = audit.tree.consistency(from, to).map((hash) => hash.toBase64());
        return c.json({ from, to, proof }, 200);
      },
    )
    .route("/", exportRoutes(deps));
}

function exportRoutes(deps: HookDeps) {
  const read = guarded("read", deps.follower);
  return createRouter().openapi(
    createRoute({
      ...describe("export", "The log as it is stored, for `heddle audit verify`", z.string()),
      responses: {
        200: {
          description: "One JSON document per line",
          content: { "application/x-ndjson": { schema: z.string() } },
        },
        ...problems(400, 404),
      },
      request: { query: z.object({ from: place.optional(), to: place.optional() }) },
      ...read,
    }),
    async (c) => {
      const { lastSeq } = await deps.log.info();
      const { from = 1, to = lastSeq } = c.req.valid("query");
      if (to > lastSeq) throw beyond("to", lastSeq);
      if (from > to && from > 1) throw new Problem(404, `query parameter from: beyond ${to}`);
      const text = chunks(exportLines(deps, { from, to }));
      c.env?.keepOpen?.();
      return c.body(text, 200, { "content-type": "application/x-ndjson" }) as never;
    },
  );
}

/** Pulled as the client reads, so that a slow one costs no memory. */
function chunks(lines: AsyncIterable<ExportLine>): ReadableStream<Uint8Array> {
  const iterator = lines[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      let text = "";
      while (text.length < CHUNK_CHARS) {
        const { done, value } = await iterator.next();
        if (done) break;
        text += `${JSON.stringify(value)}\n`;
      }
      if (text === "") controller.close();
      else controller.enqueue(encoder.encode(text));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

function describe<const P extends string, S extends z.ZodType>(
  what: P,
  summary: string,
  schema: S,
) {
  return {
    method: "get",
    path: `/v1/audit/${what}`,
    summary,
    tags: ["audit"] as string[],
    responses: {
      200: { description: summary, content: { "application/json": { schema } } },
      ...problems(400, 404),
    },
  } as const;
}

function signedSize(audit: Auditor): number {
  const { signed } = audit.view();
  if (signed === 0) throw unsigned(audit);
  return signed;
}

/** Without a checkpoint that fits there is nothing to prove against. */
function unsigned(audit: Auditor): Problem {
  const { trouble } = audit.view();
  if (trouble !== null) return new Problem(503, trouble);
  return new Problem(404, "no checkpoint of this log is signed yet: see heddle serve --audit-key");
}

function refuseBeyond(audit: Auditor, name: string, size: number): void {
  const { size: read } = audit.view();
  if (size > read) throw beyond(name, read);
}

function beyond(name: string, last: number): Problem {
  return new Problem(404, `query parameter ${name}: the log ends at ${last}`);
}
