// The commands that `heddle plan --format ip` prints, run by a shell in a bare namespace: they must
// work as they stand and leave exactly what the plan wants, as iproute2 and nft read it and as our
// own reader sees it.

import { afterAll, describe, expect, test } from "bun:test";
import { describe as command, describePlan } from "../../src/reconcilers/describe.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { diff } from "../../src/reconcilers/diff.ts";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { emptyKernelState } from "../../src/reconcilers/kernel-state.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { type History, history } from "../support/history.ts";
import { makeNetns, type Netns, requireRoot } from "../support/netns.ts";

const made: Netns[] = [];
afterAll(() => {
  for (const netns of made) netns[Symbol.dispose]();
});

/** One host with an underlay, as defaultMember describes it. */
function bareHost(): Netns {
  const netns = makeNetns();
  made.push(netns);
  netns.ip("link add eth0 type veth peer name eth9");
  netns.ip("addr add 198.18.0.1/15 dev eth0");
  netns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
  netns.ip("link set eth0 up");
  netns.ip("link set eth9 up");
  netns.ip("link add br0 type bridge");
  return netns;
}

const DUAL = { Network: "10.5.0.0/16", EnableIPv6: true, IPv6Network: "fd00:5::/48" };
const FAR = { publicIp: "203.0.113.7", publicIpv6: "2001:db8:7::7" };

function dual(backend: object): History {
  const log = history("blue-green").config({ ...DUAL, Backend: backend });
  log.join("h1", { ipMasq: true }).claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"]);
  log.join("h2").claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"]);
  return log.join("h3", FAR).claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"]);
}

function runAll(netns: Netns, commands: readonly string[]): void {
  for (const line of commands) netns.exec(["sh", "-ec", line]);
}

async function heal(netns: Netns, plan: Plan): Promise<string[]> {
  const commands = await remaining(netns, plan);
  runAll(netns, commands);
  return commands;
}

async function remaining(netns: Netns, plan: Plan): Promise<string[]> {
  const kernel = new NetlinkKernel({ netns: netns.path });
  try {
    const have = await kernel.observe(plan.scope);
    return diff(plan.kernel, have, { fabric: plan.fabric, prune: true }).map(command);
  } finally {
    kernel.close();
  }
}

const BACKENDS = {
  vxlan: { Type: "vxlan" },
  DirectRouting: { Type: "vxlan", DirectRouting: true, VNI: 9, Port: 4789, GBP: true },
  "on-miss": { Type: "vxlan", Mode: "on-miss" },
  multicast: { Type: "vxlan", Mode: "multicast", Group: "239.1.1.1" },
  "multicast over IPv6 into a bridge": { Mode: "multicast", Group: "ff05::1", Bridge: "br0" },
  "head-end": { Type: "vxlan", Mode: "head-end", VNI: 9, GBP: true },
  "head-end over IPv6": { Type: "vxlan", Mode: "head-end", Underlay: "ipv6" },
};

describe.skipIf(!requireRoot("plan commands"))("a plan as commands", () => {
  for (const [name, backend] of Object.entries(BACKENDS)) {
    test(`builds what the plan wants, with ${name}`, async () => {
      const netns = bareHost();
      const plan = desired(dual(backend).state(), "h1");
      runAll(netns, describePlan(plan));
      expect(await remaining(netns, plan)).toEqual([]);
    });
  }

  test("builds what the kernel holds of a udp plan, and says what the agent holds", async () => {
    const netns = bareHost();
    const log = history("blue-green").config({ ...DUAL, Backend: { Type: "udp" } });
    for (const [i, name] of ["h1", "h2"].entries()) {
      log.join(name, { backend: "udp", vtepMac: null, vtepMacV6: null });
      log.claim(name, [`10.5.${i + 1}.0/24`, `fd00:5:0:${i + 1}::/64`]);
    }
    const plan = desired(log.state(), "h1");
    runAll(netns, describePlan(plan));
    const left = (await remaining(netns, plan)).map((line) =>
      line.split(" ").slice(0, 4).join(" "),
    );
    expect(left).toEqual(["ip link set heddle0", "# peer set h2"]);
    const [device] = netns.ipJson("-d link show heddle0");
    expect(device).toMatchObject({ mtu: 1472, ifalias: "heddle blue-green" });
    expect(device?.linkinfo).toMatchObject({ info_kind: "tun", info_data: { multi_queue: true } });
  });

  test("builds tables that nft prints back word for word", () => {
    const netns = bareHost();
    const plan = desired(dual({ Type: "vxlan" }).state(), "h1");
    runAll(netns, describePlan(plan));
    const [table] = plan.kernel.rules.values();
    const printed = netns.exec(["nft", "-s", "list", "table", "inet", "heddle_blue_green"]);
    const lines = printed.split("\n").map((line) => line.trim());
    const rules = lines.filter((line) => / (accept|return|fully-random)$/.test(line));
    expect(rules).toEqual(table?.chains.flatMap((chain) => [...chain.rules]) ?? []);
    expect(lines).toContain("type nat hook postrouting priority srcnat; policy accept;");
  });

  test("repeats without harm, corrects what was changed, and takes everything away", async () => {
    const netns = bareHost();
    const plan = desired(dual({ Type: "vxlan" }).state(), "h1");
    runAll(netns, describePlan(plan));
    netns.ip("link set heddle.1 type vxlan id 1 local 198.18.0.9 learning");
    netns.ip("link set heddle.1 mtu 1300 down");
    netns.ip("route replace 10.5.2.0/24 dev eth0 proto 104");
    netns.ip("neigh replace 10.5.3.0 lladdr 02:00:00:00:00:99 dev heddle.1 nud permanent");
    const kernel = new NetlinkKernel({ netns: netns.path });
    const options = { fabric: plan.fabric, prune: true };
    try {
      const healing = diff(plan.kernel, await kernel.observe(plan.scope), options);
      expect(healing.length).toBeGreaterThan(2);
      runAll(netns, healing.map(command));
      expect(await remaining(netns, plan)).toEqual([]);
      const removal = diff(emptyKernelState(), await kernel.observe(plan.scope), options);
      runAll(netns, removal.map(command));
    } finally {
      kernel.close();
    }
    expect(netns.ipJson("route show proto 104")).toEqual([]);
    expect(netns.ipJson("link show type vxlan")).toEqual([]);
    expect(netns.exec(["nft", "list", "tables"])).toBe("");
  });
});

describe.skipIf(!requireRoot("plan commands of a flat segment"))(
  "a flat segment's commands",
  () => {
    test("heal copy by copy and group by group", async () => {
      const netns = bareHost();
      const plan = desired(dual({ Mode: "head-end" }).state(), "h1");
      runAll(netns, describePlan(plan));
      const nobody = "00:00:00:00:00:00 dev heddle.1";
      netns.bridge(`fdb del ${nobody} dst 198.18.0.2 self`);
      netns.bridge(`fdb append ${nobody} dst 198.18.0.99 self permanent`);
      netns.bridge("fdb add 02:00:00:00:00:77 dev heddle.1 dst 198.18.0.2 self dynamic");
      expect(await heal(netns, plan)).toEqual([
        `bridge fdb append ${nobody} dst 198.18.0.2 self permanent`,
        `bridge fdb del ${nobody} dst 198.18.0.99 self`,
      ]);
      expect(await remaining(netns, plan)).toEqual([]);

      const grouped = desired(dual({ Mode: "multicast", Group: "239.1.1.1" }).state(), "h1");
      expect(await heal(netns, grouped)).not.toEqual([]);
      netns.bridge(`fdb del ${nobody} dst 239.1.1.1 via eth0 self`);
      netns.bridge(`fdb append ${nobody} dst 239.1.1.9 via eth0 self permanent`);
      expect(await heal(netns, grouped)).toEqual([
        `bridge fdb append ${nobody} dst 239.1.1.1 via eth0 self permanent`,
        `bridge fdb del ${nobody} dst 239.1.1.9 via eth0 self`,
      ]);
      netns.ip("link set heddle.1 type vxlan id 1 dev eth0 local 198.18.0.1 group 239.9.9.9");
      expect((await heal(netns, grouped))[0]).toStartWith("ip link del heddle.1 && ip link add");
      expect(await remaining(netns, grouped)).toEqual([]);
    });
  },
);
