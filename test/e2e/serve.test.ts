// The hook over a fabric of real agents: a pipeline's steps as the documentation gives them, and
// what is said of hosts that do not follow.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROGRAM, type Ran, TestFabric, until } from "../support/fabric.ts";
import { firstLine } from "../support/first-line.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("the hook over a fabric");
const HOSTS = ["h1", "h2", "h3"] as const;
const GUIDE = readFileSync(new URL("../../docs/ci.md", import.meta.url), "utf8");

interface Workflow {
  readonly jobs: { readonly apply: { readonly steps: readonly { readonly run?: string }[] } };
}

interface Pipeline {
  readonly network: { readonly script: readonly string[] };
}

let fabric: TestFabric;
let server: Bun.Subprocess;
let env: readonly string[];

beforeAll(async () => {
  if (!canRun) return;
  fabric = await TestFabric.create({ hosts: HOSTS.length });
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
  for (const name of HOSTS) fabric.start(name);
  await fabric.ready(HOSTS, HOSTS.length - 1);
  const token = fabric.heddle("token", "create", "--name", "ci", "--scope", "write").out;
  const flags = ["--nats", fabric.dev.nats, "--http", "127.0.0.1:0", "--log-format", "json"];
  const child = fabric.spawn(fabric.dev.switch, [...PROGRAM, "serve", ...flags]);
  server = child;
  const line = await firstLine(child.stderr, "listening");
  const { url } = JSON.parse(line) as { url: string };
  env = ["env", `HEDDLE_URL=${url}`, `HEDDLE_TOKEN=${token}`];
  await until("ready", 10_000, () => curl("/readyz").code === 0);
});

afterAll(async () => {
  if (!canRun) return;
  server.kill("SIGKILL");
  await server.exited;
  await fabric.close();
});

/** Where the server is, as a runner would: `bash` with what the pipeline's settings give it. */
function sh(script: string, ...settings: string[]): Ran {
  const dir = join(fabric.dir, "checkout");
  const command = [...env, ...settings, "bash", "-e", "-c", `cd ${dir}\n${script}`];
  return fabric.exec(fabric.dev.switch, command);
}

function curl(path: string, ...args: string[]): Ran {
  mkdirSync(join(fabric.dir, "checkout", "network"), { recursive: true });
  const quoted = args.map((arg) => `'${arg}'`).join(" ");
  const auth = '-H "Authorization: Bearer $HEDDLE_TOKEN" -H "Content-Type: application/json"';
  return sh(`curl -sS --fail-with-body "$HEDDLE_URL${path}" ${auth} ${quoted}`);
}

/** The n-th block of the guide in this language. */
function block(language: string, n: number): string {
  const blocks = [...GUIDE.matchAll(/```(\w+)\n([\s\S]*?)```/g)];
  return blocks.filter(([, name]) => name === language)[n]?.[2] ?? "";
}

function hasRoute(host: string): boolean {
  return fabric.ip(host, "route show 10.9.0.0/24").length === 1;
}

test.if(canRun)("the pipelines of the guide change the network and wait until it is real", () => {
  curl("/healthz");
  writeFileSync(join(fabric.dir, "checkout", "network", "lb1.json"), block("json", 0));
  const github = Bun.YAML.parse(block("yaml", 0)) as Workflow;
  const steps = github.jobs.apply.steps.flatMap(({ run }) => run ?? []);
  expect(steps).toHaveLength(3);
  // Twice: a run that is repeated.
  for (const attempt of [1, 2]) {
    const [plan, ...rest] = steps.map((step) => sh(step, "GITHUB_RUN_ID=17"));
    if (attempt === 1) expect(plan?.out).toContain("ip route replace 10.9.0.0/24");
    for (const ran of rest) expect([ran.code, ran.err]).toEqual([0, ""]);
    const converged = JSON.parse(rest.at(-1)?.out ?? "") as { hosts: { node: string }[] };
    expect(converged.hosts.map(({ node }) => node)).toEqual([...HOSTS]);
    // Real means in every kernel, at this very moment.
    expect(HOSTS.map(hasRoute)).toEqual([true, true, true]);
  }
  const gitlab = Bun.YAML.parse(block("yaml", 1)) as Pipeline;
  const pipeline = sh(gitlab.network.script.join("\n"), "CI_PIPELINE_ID=4711");
  expect([pipeline.code, pipeline.err]).toEqual([0, ""]);
  const removed = sh(block("sh", 0));
  expect(removed.code).toBe(0);
  const { seq } = JSON.parse(removed.out) as { seq: number };
  expect(curl(`/v1/converged?seq=${seq}`).code).toBe(0);
  expect(HOSTS.map(hasRoute)).toEqual([false, false, false]);
  const by = curl("/v1/events?type=PeerAdded&type=PeerRemoved").out;
  const { events } = JSON.parse(by) as { events: { by: string; data: { name: string } }[] };
  expect(events.filter(({ data }) => data.name === "lb1")).toMatchObject([
    { type: "PeerAdded", by: "ci" },
    { type: "PeerRemoved", by: "ci" },
  ]);
});

test.if(canRun)("a host that does not follow is named, and the others are not", async () => {
  fabric.signal("h3", "SIGSTOP");
  try {
    const body = '{"name":"lb2","subnet":"10.10.0.0/24","publicIp":"198.18.0.10"}';
    const { seq } = JSON.parse(curl("/v1/peers", "-d", body).out) as { seq: number };
    // The others answer within milliseconds, on a busy machine within this.
    const asked = curl(`/v1/converged?seq=${seq}&wait=3s`);
    expect(asked.code).not.toBe(0);
    const problem = JSON.parse(asked.out) as { status: number; behind: { node: string }[] };
    expect(problem.status).toBe(409);
    expect(problem.behind.map(({ node }) => node)).toEqual(["h3"]);
    const waited = fabric.heddle("wait", "--seq", String(seq), "--timeout", "3s");
    expect(waited.err).toMatch(/sequence \d+ is not applied after 3s: h3 is at \d+/);
    fabric.signal("h3", "SIGCONT");
    expect(curl(`/v1/converged?seq=${seq}&nodes=3`).code).toBe(0);
    expect(fabric.heddle("wait", "--seq", String(seq), "--nodes", "3").code).toBe(0);
  } finally {
    fabric.signal("h3", "SIGCONT");
  }
});
