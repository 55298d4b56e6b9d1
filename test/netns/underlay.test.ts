// What is not ours changes under a running agent: the underlay's link, address and MTU, and the
// fabric's configuration. The agent follows without a restart, says so in the log, and the
// containers go on reaching each other; none of it counts as drift.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readSubnetEnv } from "../../src/cli/dev-fabric.ts";
import { type DriftWatch, watchDrift } from "../support/drift-watch.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { pingAll, viewOf } from "../support/overlay.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const NETWORK = { Network: "10.5.0.0/16" };

interface Backend {
  readonly Type: string;
  readonly VNI?: number;
  readonly Port?: number;
}

async function fabricOf(backend: Backend): Promise<TestFabric> {
  const fabric = await TestFabric.create({ hosts: NAMES.length });
  await fabric.init({ ...NETWORK, Backend: backend });
  for (const name of NAMES) fabric.start(name);
  await fabric.ready(NAMES, NAMES.length - 1);
  for (const name of NAMES) fabric.container(name);
  await pingAll(fabric, NAMES);
  return fabric;
}

function ip(fabric: TestFabric, name: string, args: string): void {
  const ran = fabric.exec(fabric.host(name).netns, ["ip", ...args.split(" ")]);
  if (ran.code !== 0) throw new Error(`ip ${args}: ${ran.err}`);
}

function said(fabric: TestFabric, type: string): { readonly data: { readonly node: string } }[] {
  const ran = fabric.heddle("events", "--json", "--type", type);
  return ran.out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

for (const type of ["vxlan", "host-gw", "udp"] as const) {
  describe.skipIf(!requireRoot("underlay"))(`the underlay changes, ${type}`, () => {
    let fabric: TestFabric;

    beforeAll(async () => {
      fabric = await fabricOf({ Type: type });
    });
    afterAll(async () => await fabric?.close());

    test("down and up again: everything that went with it is back", async () => {
      const before = viewOf(fabric, "h1");
      ip(fabric, "h1", "link set eth0 down");
      ip(fabric, "h1", "link set eth0 up");
      const back = (): boolean => Bun.deepEquals(viewOf(fabric, "h1"), before);
      const ms = await until("h1 is as before", 2000, back);
      console.log(`underlay down and up (${type}): right again after ${ms.toFixed(0)} ms`);
      await pingAll(fabric, NAMES);
    });

    test("a smaller and again the old MTU: the tunnel and subnet.env follow", async () => {
      const overhead = { vxlan: 50, "host-gw": 0, udp: 28 }[type];
      for (const mtu of [1400, 1500]) {
        ip(fabric, "h1", `link set eth0 mtu ${mtu}`);
        const follows = (): boolean =>
          readSubnetEnv(fabric.host("h1")).mtu === mtu - overhead &&
          viewOf(fabric, "h1").links.every((link) => link.mtu === mtu - overhead);
        const ms = await until(`h1 follows the underlay's MTU ${mtu}`, 3000, follows);
        console.log(`underlay MTU ${mtu} (${type}): followed after ${ms.toFixed(0)} ms`);
      }
      expect(said(fabric, "NodeUpdated").some(({ data }) => data.node === "h1")).toBe(true);
    });

    test("another address: announced, followed by the peers, and the pings go on", async () => {
      const before = said(fabric, "NodeUpdated").length;
      ip(fabric, "h3", "addr del 198.18.0.3/24 dev eth0");
      ip(fabric, "h3", "addr add 198.18.0.33/24 dev eth0");
      const startMs = performance.now();
      const to = async (name: string): Promise<readonly unknown[]> => {
        // Of a userspace tunnel the kernel knows no peers.
        if (type === "udp") return (await fabric.status(name))?.peers.map((p) => p.publicIp) ?? [];
        const { fdb, routes } = viewOf(fabric, name);
        return type === "vxlan" ? fdb.map(({ dst }) => dst) : routes.map((r) => r.gateway);
      };
      const knows = async (name: string): Promise<boolean> => {
        const found = await to(name);
        return found.includes("198.18.0.33") && !found.includes("198.18.0.3");
      };
      await until("the peers know the new address", 3000, async () => {
        return (await knows("h1")) && (await knows("h2"));
      });
      const ms = performance.now() - startMs;
      console.log(`underlay renumbered (${type}): peers follow after ${ms.toFixed(0)} ms`);
      expect(said(fabric, "NodeUpdated").length).toBeGreaterThan(before);
      await pingAll(fabric, NAMES);
    });
  });
}

describe.skipIf(!requireRoot("configuration"))("the configuration changes under agents", () => {
  let fabric: TestFabric;
  let watch: DriftWatch;

  beforeAll(async () => {
    fabric = await fabricOf({ Type: "vxlan" });
    watch = watchDrift(fabric);
  });
  afterAll(async () => {
    await watch?.close();
    await fabric?.close();
  });

  test("another VNI, host-gw, vxlan again: no restart, nothing left over", async () => {
    await changeTo({ Type: "vxlan", VNI: 2 }, "heddle.2");
    await changeTo({ Type: "host-gw" }, null);
    await changeTo({ Type: "vxlan", VNI: 2, Port: 4789 }, "heddle.2");
    await changeTo({ Type: "alloc" }, null);
    await changeTo({ Type: "vxlan" }, "heddle.1");
    expect(NAMES.flatMap((name) => [...watch.items(name)])).toEqual([]);
  });

  test("a device of others under the wanted name stays, is told, and waited for", async () => {
    ip(fabric, "h1", "link add heddle.3 type bridge");
    const foreign = fabric.ip("h1", "link show heddle.3");
    await fabric.init({ ...NETWORK, Backend: { Type: "vxlan", VNI: 3 } });
    await fabric.ready(["h2", "h3"], NAMES.length - 1);
    const complains = async (): Promise<boolean> => {
      const status = await fabric.status("h1");
      return status?.problems.some((problem) => problem.includes("is not ours")) ?? false;
    };
    await until("h1 reports the device", 5000, complains);
    expect(fabric.ip("h1", "link show heddle.3")).toEqual(foreign);
    ip(fabric, "h1", "link del heddle.3");
    await fabric.ready(NAMES, NAMES.length - 1);
    await pingAll(fabric, NAMES);
    await changeTo({ Type: "vxlan" }, "heddle.1");
  });

  /** `device` is the only one of ours that is there afterwards. */
  async function changeTo(backend: Backend, device: string | null): Promise<void> {
    const startMs = performance.now();
    await fabric.init({ ...NETWORK, Backend: backend });
    const routed = backend.Type === "alloc" ? 0 : NAMES.length - 1;
    const done = (name: string): boolean => {
      const { links, routes, neighs, rules } = viewOf(fabric, name);
      const found = links.map(({ ifname }) => ifname);
      return (
        Bun.deepEquals(found, device === null ? [] : [device]) &&
        routes.length === routed &&
        routes.every(({ dev }) => dev === (device ?? "eth0")) &&
        neighs.length === (device === null ? 0 : routed) &&
        rules.length > 0 === routed > 0
      );
    };
    await until(`${JSON.stringify(backend)} everywhere`, 5000, () => NAMES.every(done));
    const ms = performance.now() - startMs;
    console.log(`configuration ${JSON.stringify(backend)}: everywhere after ${ms.toFixed(0)} ms`);
    await fabric.ready(NAMES, NAMES.length - 1);
    if (routed > 0) await pingAll(fabric, NAMES);
  }
});
