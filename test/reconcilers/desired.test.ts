// Plans against golden files: what one host of a small fabric shall hold, as the commands that
// would build it. HEDDLE_UPDATE_GOLDEN=1 writes the files anew; read the difference before keeping
// it.

import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Draft } from "../../src/events/event.ts";
import { describePlan } from "../../src/reconcilers/describe.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { type History, history } from "../support/history.ts";

const FOLDER = join(import.meta.dir, "../fixtures/plan");
const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };
const UDP = { backend: "udp", vtepMac: null, vtepMacV6: null } as const;
const PORT = { Bridge: "br0" };
const FAR = { publicIp: "203.0.113.7", underlay: { local: "203.0.113.7" } };

function onMiss(backend: object): History {
  return history("default", "h1")
    .config({ ...V4, Backend: backend })
    .join("h1")
    .claim("h1", ["10.5.1.0/24"]);
}

function missed(...subnets: string[]): Draft {
  const answered = subnets.map((subnet) => ({ subnet, peer: "p", waitedUs: null }));
  return { type: "NeighborMissed", data: { node: "h1", answered, unknown: [], suppressed: 0 } };
}

const cases: { readonly [name: string]: { readonly says: string; readonly log: History } } = {
  "vxlan-v4": {
    says: "gives every peer a neighbour, a forwarding entry and a route",
    log: history("default")
      .config(V4)
      .join("h1")
      .claim("h1", ["10.5.1.0/24"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24"])
      .join("h3")
      .claim("h3", ["10.5.3.0/24"]),
  },
  "vxlan-v6": {
    says: "takes 70 bytes off the MTU when the outer header is IPv6",
    log: history("default")
      .config({ EnableIPv4: false, ...V6, Backend: { Type: "vxlan", VNI: 42 } })
      .join("h1")
      .claim("h1", ["fd00:5:0:1::/64"])
      .join("h2")
      .claim("h2", ["fd00:5:0:2::/64"]),
  },
  "vxlan-dual": {
    says: "carries each family over its own underlay, and one when the other is missing",
    log: history("default")
      .config({ ...V4, ...V6, Backend: { Type: "vxlan", MTU: 9000, Port: 4789, GBP: true } })
      .join("h1")
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
      .join("h3", { publicIpv6: null, vtepMacV6: null })
      .claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"]),
  },
  "vxlan-nat": {
    says: "sends from the local address and to the public one",
    log: history("default")
      .config(V4)
      .join("h1", { publicIp: "203.0.113.1" })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { publicIp: "203.0.113.2" })
      .claim("h2", ["10.5.2.0/24"]),
  },
  "on-miss-v4": {
    says: "routes to every peer, has entries for the one it holds, and the rest is unreachable",
    log: onMiss({ Mode: "on-miss" })
      .join("h2")
      .claim("h2", ["10.5.2.0/24"])
      .join("h3")
      .claim("h3", ["10.5.3.0/24"])
      .append(missed("10.5.3.0/24")),
  },
  "hybrid-dual-direct": {
    says: "holds entries by family, for foreign peers too, and none for peers on the same link",
    log: history("default", "h1")
      .config({ ...V4, ...V6, Backend: { Mode: "hybrid", HotPeers: 2, DirectRouting: true } })
      .join("h1", { underlay: { onlink: ["198.18.0.0/24", "2001:db8:5::/64"] } })
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
      .peer("f5", "172.30.0.0/20", "203.0.113.9", "02:00:00:00:00:f5")
      .append(missed("10.5.2.0/24", "fd00:5:0:2::/64", "172.30.0.0/20")),
  },
  "direct-routing": {
    says: "routes plainly to peers on the same link and tunnels to the others",
    log: history("default")
      .config({ ...V4, Backend: { Type: "vxlan", DirectRouting: true } })
      .join("h1", { underlay: { onlink: ["198.18.0.0/24"] } })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24"])
      .join("h3", FAR)
      .claim("h3", ["10.5.3.0/24"]),
  },
  multicast: {
    says: "one device joined to the group, the network on-link, and no object for a peer",
    log: history("default")
      .config({ ...V4, Backend: { Type: "vxlan", Mode: "multicast", Group: "239.1.1.1" } })
      .join("h1")
      .claim("h1", ["10.5.1.0/24"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24"]),
  },
  "multicast-v6-dual": {
    says: "carries both families over IPv6, with 70 bytes less, as a port of the bridge named",
    log: history("default")
      .config({ ...V4, ...V6, Backend: { VNI: 7, Mode: "multicast", Group: "ff05::7", ...PORT } })
      .join("h1", { publicIp: null, vtepMac: null, underlay: { mtu: 1340, local: null } })
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
      .join("h2", { publicIp: null, vtepMac: null })
      .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"]),
  },
  "head-end-dual": {
    says: "sends a copy to every peer with an address, foreign ones too, and names the others",
    log: history("default")
      .config({ ...V4, ...V6, Backend: { Mode: "head-end", MTU: 9000, GBP: true } })
      .join("h1")
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
      .join("h3", { publicIp: null })
      .claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"])
      .peer("switch", "10.5.200.0/24", "198.18.9.9")
      .peer("outside", "192.168.7.0/24", "198.18.9.10")
      .peer("six", "10.5.201.0/24", "2001:db8::9:11"),
  },
  "head-end-v6": {
    says: "carries IPv4 over IPv6 where the configuration says so",
    log: history("default")
      .config({ ...V4, Backend: { Mode: "head-end", Underlay: "ipv6" } })
      .join("h1")
      .claim("h1", ["10.5.1.0/24"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24"]),
  },
  "head-end-no-address": {
    says: "has no segment, and says so, on a host without an address of the underlay's family",
    log: history("default")
      .config({ ...V4, Backend: { Mode: "head-end", Underlay: "ipv6" } })
      .join("h1", { publicIpv6: null, vtepMacV6: null, underlay: { localv6: null } })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2")
      .claim("h2", ["10.5.2.0/24"]),
  },
  "host-gw-off-link": {
    says: "reports a peer on another link and programs nothing for it",
    log: history("default")
      .config({ ...V4, Backend: { Type: "host-gw" } })
      .join("h1", { backend: "host-gw" })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { backend: "host-gw" })
      .claim("h2", ["10.5.2.0/24"])
      .join("h3", { ...FAR, backend: "host-gw" })
      .claim("h3", ["10.5.3.0/24"]),
  },
  "udp-v4": {
    says: "one TUN, one route for the network, and peers in the packet path",
    log: history("default")
      .config({ ...V4, Backend: { Type: "udp" } })
      .join("h1", { ...UDP, capabilities: ["offload", "encap"] })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { ...UDP, capabilities: ["offload", "encap", "later"] })
      .claim("h2", ["10.5.2.0/24"])
      .join("h3", UDP)
      .claim("h3", ["10.5.3.0/24"]),
  },
  "udp-v6": {
    says: "takes 48 bytes off the MTU when the outer header is IPv6",
    log: history("default")
      .config({ EnableIPv4: false, ...V6, Backend: { Type: "udp", Port: 4000, MTU: 1400 } })
      .join("h1", { ...UDP, publicIp: null, underlay: { local: null } })
      .claim("h1", ["fd00:5:0:1::/64"])
      .join("h2", { ...UDP, publicIp: null })
      .claim("h2", ["fd00:5:0:2::/64"]),
  },
  "udp-dual": {
    says: "carries both families over IPv4, and over IPv6 to whom has no other",
    log: history("default")
      .config({ ...V4, ...V6, Backend: { Type: "udp", MTU: 9000 } })
      .join("h1", UDP)
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
      .join("h2", UDP)
      .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
      .join("h3", { ...UDP, publicIp: null })
      .claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"]),
  },
  "udp-foreign": {
    says: "needs no MAC of a foreign peer, and routes to it outside the network too",
    log: history("default")
      .config({ ...V4, Backend: { Type: "udp" } })
      .join("h1", { ...UDP, publicIp: "203.0.113.1", capabilities: [] })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { ...UDP, publicIp: null, publicIpv6: null })
      .claim("h2", ["10.5.2.0/24"])
      .join("h3", { backend: "vxlan" })
      .claim("h3", ["10.5.3.0/24"])
      .join("h4", { ...UDP, capabilities: ["offload", "encap"] })
      .claim("h4", ["10.5.4.0/24"])
      .peer("flannel", "10.5.200.0/24", "198.18.9.9")
      .peer("outside", "192.168.7.0/24", "198.18.9.10"),
  },
  alloc: {
    says: "leases only and leaves the kernel alone",
    log: history("default")
      .config({ ...V4, Backend: { Type: "alloc" } })
      .join("h1", { backend: "alloc", ipMasq: true })
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { backend: "alloc" })
      .claim("h2", ["10.5.2.0/24"]),
  },
  "foreign-peer": {
    says: "treats a foreign peer as a node, and names what it lacks",
    log: history("default")
      .config(V4)
      .join("h1")
      .claim("h1", ["10.5.1.0/24"])
      .peer("f5", "10.5.200.0/24", "198.18.9.9", "02:00:00:00:00:f5")
      .peer("bare", "10.5.201.0/24", "198.18.9.10"),
  },
  "masquerade-dual": {
    says: "masquerades what leaves the fabric in both families, whatever the fabric is called",
    log: history("blue-green")
      .config({ ...V4, ...V6 })
      .join("h1", { ipMasq: true })
      .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"]),
  },
  "other-backend": {
    says: "plans nothing for a peer that announced another backend",
    log: history("default")
      .config(V4)
      .join("h1")
      .claim("h1", ["10.5.1.0/24"])
      .join("h2", { backend: "host-gw" })
      .claim("h2", ["10.5.2.0/24"]),
  },
  "no-lease": {
    says: "wants nothing before the host has a lease",
    log: history("default").config(V4).join("h1").join("h2").claim("h2", ["10.5.2.0/24"]),
  },
};

for (const [name, { says, log }] of Object.entries(cases)) {
  test(`${name}: ${says}`, async () => {
    const text = printed(desired(log.state(), "h1"));
    const path = join(FOLDER, name, "plan.txt");
    if (process.env.HEDDLE_UPDATE_GOLDEN === "1") {
      mkdirSync(join(FOLDER, name), { recursive: true });
      writeFileSync(path, text);
    }
    expect(text).toBe(await Bun.file(path).text());
  });
}

test("a node that nobody knows wants nothing, and so does a fabric without configuration", () => {
  const bare = desired(history("t").state(), "h1");
  expect(bare.problems).toEqual(["the fabric has no configuration yet"]);
  const unknown = desired(history("t").config(V4).state(), "h1");
  expect(unknown.problems).toEqual(["h1 is not a member of the fabric"]);
  for (const plan of [bare, unknown]) {
    expect(Object.values(plan.kernel).every((map) => map.size === 0)).toBe(true);
    expect(plan.subnetEnv).toBeNull();
  }
});

test("a peer that left, or whose lease was taken, is planned no more", () => {
  const log = history("t").config(V4).join("h1").claim("h1", ["10.5.1.0/24"]);
  log.join("h2").claim("h2", ["10.5.2.0/24"]).join("h3").claim("h3", ["10.5.3.0/24"]);
  log.leave("h2").release("h3");
  const plan = desired(log.state(), "h1");
  expect(plan.peers).toEqual([]);
  expect([...plan.kernel.routes.keys()]).toEqual([]);
});

test("every object of a peer names that peer, and objects of the host name none", () => {
  const plan = desired(cases["vxlan-dual"]?.log.state() ?? history("t").state(), "h1");
  const { kernel, servedBy } = plan;
  const perPeer = kernel.routes.size + kernel.neighs.size + kernel.fdb.size;
  expect(perPeer).toBe(9);
  expect(servedBy.size).toBe(perPeer);
  for (const key of kernel.routes.keys()) expect(servedBy.get(`route ${key}`)).toMatch(/^h[23]$/);
});

test("an IPv6 device whose VNI makes its name too long gets a shorter name", () => {
  const log = history("t").config({ EnableIPv4: false, ...V6, Backend: { VNI: 16_777_215 } });
  log.join("h1").claim("h1", ["fd00:5:0:1::/64"]);
  const [name] = desired(log.state(), "h1").kernel.links.keys();
  expect(name).toBe("hd-v6.16777215");
});

function printed(plan: Plan): string {
  const peers = plan.peers.map(
    ({ node, subnets, publicIp, path, error }) =>
      `${node} ${subnets.join(",")} at ${publicIp ?? "-"} by ${path}${error ? `: ${error}` : ""}`,
  );
  const device = plan.device === null ? "none" : `${plan.device.name} mtu ${plan.device.mtu}`;
  const scope = Object.entries(plan.scope).map(([key, list]) => `${key}: ${list.join(" ")}`);
  return `${[
    `# ${plan.fabric} ${plan.node} at ${plan.seq}, device ${device}`,
    ...describePlan(plan),
    "# peers",
    ...peers,
    "# problems",
    ...plan.problems,
    "# scope",
    ...scope,
    "# subnet.env",
    plan.subnetEnv ?? "none\n",
  ].join("\n")}`;
}
