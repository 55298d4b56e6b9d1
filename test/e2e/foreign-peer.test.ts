// A load balancer or hardware VTEP in a fabric: added through the hook, it is on every host in
// under a second and carries packets in both directions. A VXLAN device made by hand, as a vendor's
// manual shows it, plays the appliance; it knows nothing of Heddle.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Found } from "../../src/agent/found.ts";
import { addNetns, addVeth, deleteNetns, inside, ip, run } from "../../src/cli/dev-netns.ts";
import { PROGRAM, TestFabric, until } from "../support/fabric.ts";
import { firstLine } from "../support/first-line.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("foreign peers through the hook");
const HOSTS = ["h1", "h2", "h3"] as const;
const LIMIT_MS = 10_000;
const SECOND_MS = 1000;

const SUBNET = "10.9.0.0/24";
const SERVICE = "10.9.0.7";
const UNDERLAY = "198.18.0.200";
const MAC = "0e:12:34:56:78:9a";

let fabric: TestFabric;
let server: Bun.Subprocess;
let appliance: string;
let url: string;
let token: string;

beforeAll(async () => {
  if (!canRun) return;
  fabric = await TestFabric.create({ hosts: HOSTS.length });
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", Port: 8472 } });
  for (const name of HOSTS) fabric.start(name);
  await fabric.ready(HOSTS, HOSTS.length - 1);
  token = fabric.heddle("token", "create", "--name", "ci", "--scope", "write").out;
  const flags = ["--nats", fabric.dev.nats, "--http", "127.0.0.1:0", "--log-format", "json"];
  const child = fabric.spawn(fabric.dev.switch, [...PROGRAM, "serve", ...flags]);
  server = child;
  const line = await firstLine(child.stderr, "listening");
  url = (JSON.parse(line) as { url: string }).url;
  await until("ready", LIMIT_MS, () => ask("GET", "/readyz").code === 0);
  makeAppliance();
});

afterAll(async () => {
  if (!canRun) return;
  if (appliance !== undefined) deleteNetns(appliance);
  server?.kill("SIGKILL");
  await server?.exited;
  await fabric?.close();
});

function ask(method: string, path: string, body?: unknown) {
  const auth = ["-H", `Authorization: Bearer ${token}`, "-H", "Content-Type: application/json"];
  const data = body === undefined ? [] : ["-d", JSON.stringify(body)];
  const command = ["curl", "-sS", "--fail-with-body", "-X", method, ...auth, ...data];
  return fabric.exec(fabric.dev.switch, [...command, `${url}${path}`]);
}

/** With an address of its subnet, and an entry per host as its operator would type them. */
function makeAppliance(): void {
  const wire = fabric.dev.switch;
  appliance = `${wire}-lb`;
  addNetns(appliance);
  addVeth({ netns: wire, dev: "lb" }, { netns: appliance, dev: "eth0" });
  ip(wire, "link set lb master br0 up");
  ip(appliance, `addr add ${UNDERLAY}/24 dev eth0`);
  ip(appliance, "link set eth0 up");
  const vxlan = `type vxlan id 1 dev eth0 local ${UNDERLAY} dstport 8472 nolearning`;
  ip(appliance, `link add vx0 address ${MAC} mtu 1450 ${vxlan}`);
  ip(appliance, "link set vx0 up");
  ip(appliance, `addr add ${SERVICE}/32 dev vx0`);
  for (const name of HOSTS) {
    const [device] = fabric.ip(name, "link show heddle.1");
    const mac = String(device?.address);
    const vtep = addressOf(name, "heddle.1");
    const to = ["dst", addressOf(name, "eth0")];
    run(["bridge", "-n", appliance, "fdb", "add", mac, "dev", "vx0", ...to]);
    ip(appliance, `neigh add ${vtep} lladdr ${mac} dev vx0 nud permanent`);
    ip(appliance, `route add ${vtep}/24 via ${vtep} dev vx0 onlink src ${SERVICE}`);
  }
}

function addressOf(host: string, dev: string): string {
  const [found] = fabric.ip(host, `-4 addr show dev ${dev}`) as {
    addr_info: { local: string }[];
  }[];
  return found?.addr_info[0]?.local ?? "";
}

function pings(netns: string, to: string, count = 3): boolean {
  const command = ["ping", "-n", "-c", String(count), "-i", "0.05", "-W", "1", to];
  return Bun.spawnSync([...inside(netns, command)]).exitCode === 0;
}

/** What a host's kernel holds because of the peer: its route, neighbour and forwarding entry. */
function entries(name: string): number {
  const routes = fabric.ip(name, `route show ${SUBNET}`);
  const neighbours = fabric.ip(name, "neigh show dev heddle.1");
  const fdb = fabric.bridge(name, "fdb show dev heddle.1");
  const isPeer = ({ lladdr, mac }: Record<string, unknown>) => lladdr === MAC || mac === MAC;
  return routes.length + neighbours.filter(isPeer).length + fdb.filter(isPeer).length;
}

test.if(canRun)("an appliance added through the hook is on every host, and works", async () => {
  const containers = HOSTS.map((name) => fabric.container(name));
  expect(containers.map(({ netns }) => pings(netns, SERVICE, 1))).toEqual([false, false, false]);
  const body = { name: "lb1", subnet: SUBNET, publicIp: UNDERLAY, vtepMac: MAC };
  const added = ask("POST", "/v1/peers", body);
  expect([added.code, added.err]).toEqual([0, ""]);
  await until("on every host", SECOND_MS, () => HOSTS.every((name) => entries(name) === 3));
  const { seq } = JSON.parse(added.out) as { seq: number };
  expect(ask("GET", `/v1/converged?seq=${seq}`).code).toBe(0);
  for (const name of HOSTS) {
    const found = JSON.parse(ask("GET", `/v1/hosts/${name}/found`).out) as Found;
    expect(found).toMatchObject({ node: name, asWanted: true, planned: seq, differences: [] });
  }
  for (const { netns, ipv4 } of containers) {
    expect(pings(netns, SERVICE)).toBe(true);
    expect(pings(appliance, ipv4 ?? "")).toBe(true);
  }
  // What arrived came through its device, which hears nothing but port 8472.
  const [device] = JSON.parse(ip(appliance, "-j -s -d link show vx0")) as {
    linkinfo: { info_data: { port: number } };
    stats64: { rx: { packets: number } };
  }[];
  expect(device?.linkinfo.info_data.port).toBe(8472);
  expect(device?.stats64.rx.packets).toBeGreaterThanOrEqual(HOSTS.length * 6);
  expect(JSON.parse(ask("GET", "/v1/peers").out)).toMatchObject([body]);

  expect(ask("DELETE", "/v1/peers/lb1").code).toBe(0);
  await until("gone everywhere", SECOND_MS, () => HOSTS.every((name) => entries(name) === 0));
  expect(containers.map(({ netns }) => pings(netns, SERVICE, 1))).toEqual([false, false, false]);
  expect(JSON.parse(ask("GET", "/v1/peers").out)).toEqual([]);
});
