import { afterEach, describe, expect, test } from "bun:test";
import type { KernelState } from "../../src/reconcilers/kernel-state.ts";
import { fabric, host, stopLoops } from "../support/loop-host.ts";

/** A name without a number has no addresses of its own. */
const OTHER = {
  publicIp: "198.18.0.9",
  publicIpv6: null,
  vtepMac: "02:00:00:00:00:09",
  vtepMacV6: null,
};

afterEach(stopLoops);

describe("failures", () => {
  test("a peer whose route fails does not keep the others waiting", async () => {
    const { kernel, rounds, settle } = host();
    kernel.refuse = (op) =>
      op.key === "10.5.2.0/24 0" ? "EINVAL Nexthop has invalid gateway" : null;
    await settle();
    expect(kernel.state.routes.has("10.5.3.0/24 0")).toBe(true);
    expect([...(rounds[0]?.failures ?? [])]).toEqual([
      ["h2", "route 10.5.2.0/24 0: EINVAL Nexthop has invalid gateway"],
    ]);
  });

  test("a peer gets no route while its neighbour or forwarding entry cannot be set", async () => {
    for (const noun of ["neigh", "fdb"]) {
      const { kernel, plan, settle } = host();
      const served = (key: string): string | undefined => plan.servedBy.get(`${noun} ${key}`);
      kernel.refuse = (op) => (op.noun === noun && served(op.key) === "h2" ? "ENOBUFS" : null);
      await settle();
      expect(kernel.applied).not.toContain("set route 10.5.2.0/24 0");
      expect([...kernel.state.routes.keys()]).toEqual(["10.5.3.0/24 0"]);
    }
  });

  test("each is tried again after 100 ms, then after twice as long each time", async () => {
    const { kernel, clock, settle, rounds } = host();
    kernel.refuse = (op) => (op.key === "10.5.2.0/24 0" ? "no" : null);
    await settle();
    const at: number[] = [];
    const tries = () => kernel.applied.filter((op) => op.endsWith("10.5.2.0/24 0")).length;
    for (let seen = tries(); clock.nowMs() < 3200; await clock.advance(50)) {
      if (tries() > seen) at.push(clock.nowMs());
      seen = tries();
    }
    expect(at).toEqual([100, 300, 700, 1500, 3100]);
    expect(rounds.at(-1)?.retryAtMs).toBe(6300);
    kernel.refuse = () => null;
    await clock.advance(3200);
    expect(kernel.state.routes.has("10.5.2.0/24 0")).toBe(true);
    expect(rounds.at(-1)).toMatchObject({ clean: true, retryAtMs: null, driftCount: 0 });
    expect(rounds.at(-1)?.failures.size).toBe(0);
  });

  test("a device is tried every 1.5 s at least: what it lacks may be back", async () => {
    const { kernel, clock, settle } = host();
    kernel.refuse = (op) => (op.noun === "link" ? "EADDRINUSE" : null);
    await settle();
    for (let i = 0; i < 600; i++) await clock.advance(100);
    kernel.refuse = () => null;
    const freedMs = clock.nowMs();
    while (kernel.state.links.size === 0) await clock.advance(50);
    expect(clock.nowMs() - freedMs).toBeLessThanOrEqual(1500);
  });

  test("a changed wish is tried at once, whatever the old one has to wait for", async () => {
    const test = host();
    test.kernel.refuse = (op) => (op.key.includes("198.18.0.2") ? "no" : null);
    await test.settle();
    await test.clock.advance(3000);
    test.log.update("h2", { publicIp: "198.18.9.9" });
    test.replan();
    await test.settle();
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect(test.last.failures.size).toBe(0);
  });

  test("a wake-up does not hasten a retry", async () => {
    const { kernel, clock, settle } = host();
    kernel.refuse = (op) => (op.key === "10.5.2.0/24 0" ? "no" : null);
    await settle();
    await clock.advance(50);
    await settle();
    expect(kernel.applied.filter((op) => op === "set route 10.5.2.0/24 0")).toHaveLength(1);
  });

  test("a retry that falls due while a round still holds it back is made", async () => {
    for (let wokenMs = 99; wokenMs < 100; wokenMs += 0.05) {
      const { kernel, clock, settle } = host();
      kernel.refuse = (op) => (op.key === "10.5.2.0/24 0" ? "no" : null);
      await settle();
      kernel.refuse = () => null;
      await clock.advance(wokenMs);
      // From here on time passes while the loop works.
      const standing = clock.nowMs;
      let passedMs = 0;
      clock.nowMs = () => {
        passedMs += 0.1;
        return standing() + passedMs;
      };
      await settle();
      clock.nowMs = () => standing() + passedMs;
      await clock.advance(200);
      expect({ wokenMs, routes: kernel.state.routes.size }).toEqual({ wokenMs, routes: 2 });
    }
  });

  test("a changed object under the same key is tried at once too", async () => {
    const test = host();
    const [, old] = [...test.plan.kernel.neighs.values()].map((neigh) => neigh.mac);
    test.kernel.refuse = (op) => (op.noun === "neigh" && op.object.mac === old ? "no" : null);
    await test.settle();
    await test.clock.advance(3000);
    test.log.update("h3", { vtepMac: "02:00:00:00:00:33" });
    test.replan();
    await test.settle();
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
  });

  test("a retry that waits for its device does not keep the loop spinning", async () => {
    const { kernel, clock, settle, rounds, plan } = host();
    kernel.refuse = (op) => (op.noun === "neigh" ? "no" : null);
    await settle();
    kernel.refuse = (op) => (op.noun === "link" ? "no" : null);
    kernel.tamper((state) => state.links.clear());
    await clock.advance(1600);
    expect(rounds.length).toBeLessThan(12);
    kernel.refuse = () => null;
    await clock.advance(3200);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("nothing is put on a device that could not be made", async () => {
    const { kernel, settle, rounds, clock, plan } = host();
    kernel.refuse = (op) => (op.noun === "link" ? "ENODEV no underlay" : null);
    await settle();
    expect(kernel.applied.filter((op) => op.includes("heddle.1"))).toEqual(["set link heddle.1"]);
    expect([...(rounds[0]?.failures ?? [])]).toEqual([[null, "link heddle.1: ENODEV no underlay"]]);
    kernel.refuse = () => null;
    await clock.advance(100);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("of the host are told from those of a peer, whatever that is called", async () => {
    const log = fabric().join("host", OTHER).claim("host", ["10.5.9.0/24"]);
    const seen = host(log);
    const { kernel, settle } = seen;
    kernel.refuse = ({ noun, key }) => (noun === "rule" || key === "10.5.9.0/24 0" ? "no" : null);
    await settle();
    expect([...seen.last.failures]).toEqual([
      ["host", "route 10.5.9.0/24 0: no"],
      [null, "rule inet heddle_blue: no"],
    ]);
  });

  test("a device of another fabric is left to it, and said to be in the way", async () => {
    const { kernel, plan, settle, rounds } = host();
    const [link] = plan.kernel.links.values();
    if (link === undefined) throw new Error("no device");
    kernel.state.links.set(link.name, { ...link, alias: "heddle green" });
    await settle();
    expect(kernel.state.links.get(link.name)?.alias).toBe("heddle green");
    expect(rounds[0]?.failures.get(null)).toContain("belongs to another fabric ('heddle green')");
  });

  test("what the kernel accepts and ignores is a failure and not an endless loop", async () => {
    const { kernel, clock, settle, rounds } = host();
    kernel.ignore = (op) => op.noun === "rule";
    await settle();
    expect(rounds).toHaveLength(1);
    expect(rounds[0]?.failures.get(null)).toContain("accepted, yet still missing");
    await clock.advance(1000);
    expect(rounds.length).toBeLessThan(6);
  });

  test("the old path of a peer stays while the new one cannot be set", async () => {
    const log = fabric();
    const test = host(log);
    await test.settle();
    log.config({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", DirectRouting: true } });
    test.replan();
    test.kernel.refuse = (op) => (op.noun === "route" && op.verb === "set" ? "no" : null);
    await test.settle();
    expect([test.kernel.state.neighs.size, test.kernel.state.fdb.size]).toEqual([2, 2]);
    test.kernel.refuse = () => null;
    await test.clock.advance(100);
    expect([test.kernel.state.neighs.size, test.kernel.state.fdb.size]).toEqual([0, 0]);
  });

  test("an unreadable kernel is asked again, later each time, with a new watch", async () => {
    const { kernel, clock, rounds, plan, settle } = host();
    kernel.broken = "ENOBUFS";
    await settle();
    expect(rounds[0]).toMatchObject({ error: "ENOBUFS", clean: false, retryAtMs: 100 });
    expect(kernel.watchers.size).toBe(0);
    await clock.advance(1400);
    expect(rounds).toHaveLength(4);
    kernel.broken = null;
    await clock.advance(800);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
    expect(kernel.watchers.size).toBe(1);
    expect(rounds.at(-1)).toMatchObject({ error: null, clean: true, retryAtMs: null });
  });
});
