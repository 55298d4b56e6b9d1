// The figures of a real agent, over its port, compared with what its kernel and its log hold.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Found } from "../../src/agent/found.ts";
import { type Ran, TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Scraped } from "../support/prometheus.ts";

const canRun = requireRoot("the figures of an agent");
const LIMIT_MS = 10_000;

let fabric: TestFabric;
let token: string;
let url: string;

beforeAll(async () => {
  if (!canRun) return;
  fabric = await TestFabric.create({ hosts: 2 });
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
  fabric.start("h1", "--http", "127.0.0.1:0", "--log-format", "json");
  fabric.start("h2");
  await fabric.ready(["h1", "h2"], 1);
  token = fabric.heddle("token", "create", "--name", "prometheus", "--scope", "read").out;
  await until("it listens", LIMIT_MS, () => {
    url = /"url":"(http:[^"]+)"/.exec(logOf("h1"))?.[1] ?? "";
    return url !== "";
  });
});

afterAll(async () => {
  if (canRun) await fabric.close();
});

function logOf(name: string): string {
  const found = Bun.spawnSync(["sh", "-c", `cat ${fabric.host(name).dir}/agent-*.log`]);
  return found.stdout.toString();
}

function curl(path: string, ...args: string[]): Ran {
  const command = ["curl", "-sS", "--fail-with-body", ...args, `${url}${path}`];
  return fabric.exec(fabric.host("h1").netns, command);
}

const auth = (): string[] => ["-H", `Authorization: Bearer ${token}`];

function scrape(): Scraped {
  const ran = curl("/metrics", ...auth());
  if (ran.code !== 0) throw new Error(`${ran.out}${ran.err}`);
  return new Scraped(`${ran.out}\n`);
}

test.if(canRun)("an agent's figures are those of its kernel and its log", async () => {
  await until("the token is known", LIMIT_MS, () => curl("/metrics", ...auth()).code === 0);
  let metrics = scrape();
  let head = 0;
  // A host that was repaired says so in the log, up to a second later.
  await until("the log is quiet", LIMIT_MS, () => {
    metrics = scrape();
    head = fabric.head();
    return metrics.value("heddle_agent_applied_sequence") === head;
  });
  expect(metrics.value("heddle_agent_info", { node: "h1", backend: "vxlan" })).toBe(1);
  expect(metrics.value("heddle_agent_state", { state: "ready" })).toBe(1);
  expect(metrics.value("heddle_agent_head_sequence")).toBe(head);
  expect(metrics.value("heddle_agent_peers", { state: "applied" })).toBe(1);
  const routes = fabric.ip("h1", "route show proto 104").length;
  const healed = metrics.value("heddle_agent_drift_healed_total");
  const sent = metrics.value("heddle_agent_ops_total", { verb: "set", noun: "route" });
  expect(sent).toBe(routes + healed);
  expect(curl("/metrics").code).not.toBe(0);
  expect(curl("/readyz").code).toBe(0);
});

test.if(canRun)("what somebody else took away is counted when it was put back", async () => {
  const before = scrape().value("heddle_agent_drift_healed_total");
  const [route] = fabric.ip("h1", "route show proto 104");
  fabric.exec(fabric.host("h1").netns, ["ip", "route", "del", String(route?.dst)]);
  await until("it is healed", LIMIT_MS, () => {
    return scrape().value("heddle_agent_drift_healed_total") === before + 1;
  });
  expect(fabric.ip("h1", "route show proto 104")).toHaveLength(1);
  const found = JSON.parse(curl("/v1/found", ...auth()).out) as Found;
  expect(found).toMatchObject({ node: "h1", state: "ready", asWanted: true, differences: [] });
  expect(found.healed?.items).toMatchObject([{ noun: "route", problem: "missing" }]);
});
