// Every operation of the OpenAPI document asked with what the document allows, and with what it
// does not: no answer is a failure of the server, each has a documented status, and each body is
// what the document says of it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { generate } from "json-schema-faker";
import { defaultMember } from "../support/history.ts";
import { FABRIC, TestHook } from "../support/hook.ts";

const RUNS = 16;
/** Parameters without which there is no answer. */
const NEEDED = new Set(["node", "name", "from", "subnet", "seq"]);

type Schema = Readonly<Record<string, unknown>>;
type Media = Readonly<Record<string, { readonly schema: Schema }>>;

interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: "query" | "path" | "header";
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Media };
  readonly responses: Readonly<Record<string, { readonly content?: Media }>>;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Case {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

let hook: TestHook;
let document: OpenApi;
let cases: readonly Case[];
let ajv: Ajv2020;

beforeAll(async () => {
  hook = await TestHook.start();
  await hook.ask("/v1/config", { method: "POST", as: "admin", body: { Network: "10.5.0.0/16" } });
  for (const [i, node] of ["h1", "h2"].entries()) {
    await hook.append({ type: "NodeJoined", data: defaultMember(FABRIC, node) });
    const data = { node, epoch: 1, subnets: [`10.5.${i + 1}.0/24`], ttlSeconds: 3600 };
    await hook.append({ type: "LeaseClaimed", data });
  }
  // More than the sequence that the document gives as an example.
  for (let i = 0; i < 50; i++) {
    await hook.append({ type: "HostDegraded", data: { node: "h1", problems: [`problem ${i}`] } });
  }
  document = await hook.get<OpenApi>("/openapi.json", { as: null });
  cases = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method, path, operation })),
  );
  ajv = new Ajv2020({ strict: false, allErrors: false });
  addFormats(ajv);
  ajv.addSchema({ $id: "openapi", ...document });
});

afterAll(() => hook.close());

/** A request of an operation, with each part as `make` gives it. */
async function send(
  { method, path, operation }: Case,
  make: (schema: Schema, where: string) => Promise<unknown>,
): Promise<Response> {
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  let filled = path;
  for (const { name, in: where, schema, required } of operation.parameters ?? []) {
    const value = await make(schema, name);
    if (value === undefined && required !== true) continue;
    const texts = (Array.isArray(value) ? value : [value ?? ""]).map(String);
    if (where === "query") for (const text of texts) query.append(name, text);
    if (where === "header") headers[name] = texts.join(",").replaceAll(/[^\x20-\x7e]/g, "?");
    if (where === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(texts.join()));
  }
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const body = schema === undefined ? undefined : await make(schema, "body");
  // Waiting is another test's.
  if (path === "/v1/converged") query.set("wait", "1ms");
  const text = query.size === 0 ? "" : `?${query}`;
  return await hook.ask(filled + text, {
    method: method.toUpperCase(),
    as: "admin",
    body,
    headers,
  });
}

/** The answer is one that the document describes. */
async function check(one: Case, answer: Response): Promise<void> {
  const { method, path, operation } = one;
  const at = `${method} ${path} ${answer.status}`;
  // No agent runs here, so no host answers; anything else is the server's own failure.
  const absent = path === "/v1/hosts/{node}/found" && answer.status === 504;
  expect([at, answer.status < 500 || absent]).toEqual([at, true]);
  const described = operation.responses[answer.status];
  expect([at, described !== undefined]).toEqual([at, true]);
  const type = answer.headers.get("content-type")?.split(";")[0] ?? "none";
  const text = await answer.text();
  const media = described?.content?.[type];
  expect([at, type, media !== undefined]).toEqual([at, type, true]);
  const validate = validator(one, String(answer.status), type);
  const isText = (media?.schema as { readonly type?: string } | undefined)?.type === "string";
  for (const body of isText ? [text] : bodiesOf(type, text)) {
    const wrong = validate(body) ? null : validate.errors;
    expect([at, wrong, text.slice(0, 300)]).toEqual([at, null, text.slice(0, 300)]);
  }
}

/** The schema of NDJSON is that of a line. */
function bodiesOf(type: string, text: string): readonly unknown[] {
  const texts = type.endsWith("ndjson") ? text.split("\n").filter((line) => line !== "") : [text];
  return texts.map((each) => JSON.parse(each) as unknown);
}

function validator({ method, path }: Case, status: string, type: string): ValidateFunction {
  const parts = ["paths", path, method, "responses", status, "content", type, "schema"];
  const pointer = parts.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1"));
  const $ref = `openapi#/${pointer.map(encodeURIComponent).join("/")}`;
  return ajv.getSchema($ref) ?? ajv.compile({ $ref });
}

test("what the document allows is answered as the document says", async () => {
  const accepted = new Set<string>();
  for (const one of cases) {
    for (let seed = 1; seed <= RUNS; seed++) {
      const answer = await send(one, (schema, where) => {
        // Most times what the document gives as an example, now and then left out.
        const isLeftOut = (seed + where.length) % 3 === 0;
        if (seed % 4 !== 0 && where !== "body") {
          return Promise.resolve(isLeftOut && !NEEDED.has(where) ? undefined : schema.example);
        }
        const refs = { components: document.components };
        return generate({ ...schema, ...refs } as never, { seed: seed * 7 });
      });
      if (answer.ok) accepted.add(`${one.method} ${one.path}`);
      await check(one, answer);
    }
  }
  // Otherwise nothing but refusals would have been looked at.
  const reads = cases.filter(({ method, path }) => method === "get" && !path.includes("audit"));
  const missed = reads.filter(({ path }) => !accepted.has(`get ${path}`)).map(({ path }) => path);
  // These need an agent or a webhook, which the test does not have.
  expect(missed.toSorted()).toEqual([
    "/v1/converged",
    "/v1/hooks/{name}",
    "/v1/hooks/{name}/dead",
    "/v1/hooks/{name}/secret",
    "/v1/hosts/{node}/found",
  ]);
});

test("what the document does not allow is refused as the document says", async () => {
  const anything = fc.oneof(fc.string({ unit: "binary" }), fc.json(), fc.integer(), fc.webPath());
  for (const one of cases) {
    const run = fc.asyncProperty(fc.infiniteStream(anything), async (stream) => {
      const answer = await send(one, (_, where) => {
        const { value } = stream.next();
        // A path of nothing or of dots is another path.
        const text = where === "name" || where === "node" ? `x${value}` : value;
        return Promise.resolve(text);
      });
      await check(one, answer);
    });
    await fc.assert(run, { numRuns: RUNS });
  }
});

test("a body cut off anywhere, or of any bytes, is refused", async () => {
  const whole = JSON.stringify({ name: "lb", subnet: "10.9.0.0/24", publicIp: "198.18.0.9" });
  const peers = cases.find(({ method, path }) => method === "post" && path === "/v1/peers");
  if (peers === undefined) throw new Error("no such operation");
  for (let length = 0; length < whole.length; length += 3) {
    const body = whole.slice(0, length);
    const answer = await hook.ask("/v1/peers", { method: "POST", as: "admin", body });
    expect([body, answer.status]).toEqual([body, 400]);
    await check(peers, answer);
  }
});
