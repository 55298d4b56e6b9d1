import { afterEach, describe, expect, test } from "bun:test";
import type { KernelState } from "../../src/reconcilers/kernel-state.ts";
import { fabric, host, PERIOD_MS, route, stopLoops } from "../support/loop-host.ts";

afterEach(stopLoops);

describe("a round", () => {
  test("builds what is wanted and finds it built", async () => {
    const { kernel, rounds, settle, plan } = host();
    await settle();
    expect(rounds).toHaveLength(1);
    expect(rounds[0]).toMatchObject({ clean: true, drift: [], error: null, seq: plan.seq });
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("starts in a microtask, without waiting for anything", async () => {
    const { kernel, loop } = host();
    loop.wake();
    expect(kernel.watchers.size).toBe(0);
    await Promise.resolve();
    expect(kernel.watchers.size).toBe(1);
  });

  test("writes nothing when all is well, and looks only when the kernel stirred", async () => {
    const { kernel, clock, settle, rounds } = host();
    await settle();
    const before = { batches: kernel.batches.length, observed: kernel.observed };
    await settle();
    expect(kernel.observed).toBe(before.observed);
    kernel.tamper();
    await clock.advance(0);
    expect(kernel.observed).toBe(before.observed + 1);
    expect(kernel.batches.length).toBe(before.batches);
    expect(rounds.at(-1)?.clean).toBe(true);
    expect(kernel.watchers.size).toBe(1);
  });

  test("any number of wake-ups before it starts is one round", async () => {
    const { loop, rounds, settle } = host();
    for (let i = 0; i < 100; i++) loop.wake();
    await settle();
    expect(rounds).toHaveLength(1);
  });

  test("any number of wake-ups while it runs is one more round", async () => {
    const { loop, kernel, rounds, settle } = host();
    kernel.meanwhile = () => {
      for (let i = 0; i < 100; i++) loop.wake();
    };
    await settle();
    expect(rounds).toHaveLength(2);
  });

  test("yields before the next, so that a storm of wake-ups starves nobody", async () => {
    const { loop, kernel, clock, rounds } = host();
    const watch = kernel.observe.bind(kernel);
    // Every look at the kernel wakes the loop again: it would never come to rest by itself.
    kernel.observe = (scope) => {
      loop.wake();
      return watch(scope);
    };
    loop.wake();
    for (let i = 0; i < 50; i++) await Promise.resolve();
    expect(rounds.length).toBeLessThan(2);
    expect(clock.next()).toBe(clock.nowMs());
  });

  test("after a round notifications wait as long as it took, and wake-ups do not", async () => {
    const { kernel, clock, loop, rounds } = host();
    const look = kernel.observe.bind(kernel);
    kernel.observe = async (scope) => {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      return look(scope);
    };
    loop.wake();
    await clock.advance(20);
    expect(rounds).toHaveLength(1);
    for (let i = 0; i < 1000; i++) {
      kernel.tamper();
      await Promise.resolve();
    }
    await clock.advance(19);
    expect(kernel.observed).toBe(2);
    await clock.advance(11);
    expect(rounds).toHaveLength(2);
    kernel.tamper();
    loop.wake();
    await clock.advance(10);
    expect(rounds).toHaveLength(3);
    await loop.idle();
    await clock.advance(1000);
    kernel.tamper();
    await clock.advance(10);
    expect(rounds).toHaveLength(4);
  });

  test("runs again at once when the log moved on meanwhile", async () => {
    const { kernel, log, rounds, replan, settle } = host();
    kernel.meanwhile = () => {
      log.join("h4").claim("h4", ["10.5.4.0/24"]);
      replan();
    };
    await settle();
    expect(rounds.map((round) => round.seq)).toEqual([9]);
    expect(kernel.state.routes.has("10.5.4.0/24 0")).toBe(true);
  });

  test("gathers what comes while the log keeps moving, as long as it took itself", async () => {
    const { kernel, clock, log, loop, rounds, replan } = host();
    const look = kernel.observe.bind(kernel);
    kernel.observe = async (scope) => {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      return look(scope);
    };
    const join = (node: string, subnet: string): void => {
      log.join(node).claim(node, [subnet]);
      replan();
      loop.wake();
    };
    loop.wake();
    await clock.advance(5);
    join("h4", "10.5.4.0/24");
    await clock.advance(5);
    expect(kernel.batches.length).toBeGreaterThan(0);
    await clock.advance(9);
    join("h5", "10.5.5.0/24");
    expect(kernel.state.routes.has("10.5.4.0/24 0")).toBe(false);
    await clock.advance(1);
    expect(kernel.state.routes.has("10.5.5.0/24 0")).toBe(true);
    await clock.advance(10);
    expect(rounds.map((round) => round.seq)).toEqual([11]);
    join("h6", "10.5.6.0/24");
    await clock.advance(0);
    expect(kernel.state.routes.has("10.5.6.0/24 0")).toBe(true);
    join("h7", "10.5.7.0/24");
    await clock.advance(10);
    expect(rounds).toHaveLength(2);
    // It gathers, and ends all the same when it is told to.
    await loop.stop();
    expect(rounds).toHaveLength(2);
  });
});

describe("healing", () => {
  test("an object that somebody deleted comes back, and is told as drift", async () => {
    const test = host();
    await test.settle();
    test.kernel.tamper((state) => state.routes.delete("10.5.2.0/24 0"));
    await test.settle();
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect(test.last).toMatchObject({ clean: true, driftCount: 1 });
    expect(test.last.drift).toEqual([
      {
        noun: "route",
        problem: "missing",
        found: null,
        wanted: "10.5.2.0/24 via 10.5.2.0 dev heddle.1 onlink proto 104 metric 0",
      },
    ]);
  });

  test("the kernel's notification alone is enough", async () => {
    const { kernel, clock, plan, settle } = host();
    await settle();
    kernel.tamper((state) => state.neighs.clear());
    await clock.advance(0);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("without any notification the slow pass finds it", async () => {
    const { kernel, clock, plan, settle } = host();
    await settle();
    kernel.state.links.delete("heddle.1");
    kernel.state.routes.clear();
    await clock.advance(PERIOD_MS - 1);
    expect(kernel.state.links.size).toBe(0);
    await clock.advance(1);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("of much drift all is counted and as much told as one event holds", async () => {
    const log = fabric();
    for (let i = 10; i < 50; i++) log.join(`h${i}`).claim(`h${i}`, [`10.5.${i}.0/24`]);
    const test = host(log);
    await test.settle();
    test.kernel.tamper((state) => state.routes.clear());
    await test.settle();
    expect(test.last.driftCount).toBe(42);
    expect(test.last.drift).toHaveLength(32);
  });

  test("a stray of ours goes and a foreign route stays", async () => {
    const test = host();
    await test.settle();
    const ours = { ...route(test.plan.kernel), dst: "10.5.77.0/24" };
    const foreign = { ...ours, dst: "10.5.78.0/24", protocol: 4 };
    test.kernel.tamper((state) => {
      state.routes.set("10.5.77.0/24 0", ours).set("10.5.78.0/24 0", foreign);
    });
    await test.settle();
    expect(test.kernel.state.routes.has("10.5.77.0/24 0")).toBe(false);
    expect(test.kernel.state.routes.get("10.5.78.0/24 0")).toEqual(foreign);
    expect(test.last.drift.map((item) => item.problem)).toEqual(["stray"]);
  });

  test("nothing is drift before a round of this process ended well", async () => {
    const { kernel, rounds, plan, settle } = host();
    for (const [key, object] of plan.kernel.routes) {
      kernel.state.routes.set(key, { ...object, via: "192.0.2.1" });
    }
    await settle();
    expect(rounds[0]).toMatchObject({ clean: true, driftCount: 0 });
  });

  test("what the log changed is no drift, also when it took two attempts", async () => {
    const test = host();
    await test.settle();
    test.log.join("h4").claim("h4", ["10.5.4.0/24"]).leave("h2");
    test.log.update("h3", { publicIp: "198.18.9.9" });
    test.replan();
    test.kernel.refuse = (op) => (op.noun === "route" ? "busy" : null);
    await test.settle();
    test.kernel.refuse = () => null;
    await test.clock.advance(1000);
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect(test.rounds.map((round) => round.driftCount)).toEqual(test.rounds.map(() => 0));
  });

  test("a device made anew counts its contents only when they were gone", async () => {
    const test = host();
    await test.settle();
    test.kernel.tamper((state) => {
      const link = state.links.get("heddle.1");
      if (link !== undefined) state.links.set("heddle.1", { ...link, port: 4789 });
    });
    await test.settle();
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect(test.last.drift.map((item) => [item.noun, item.problem])).toEqual([["link", "altered"]]);
  });
});

describe("what the loop may do", () => {
  test("without a plan it neither writes nor looks, whatever happens", async () => {
    const { kernel, clock, loop, rounds, settle, want } = host();
    await settle();
    want({ plan: null });
    const before = kernel.observed;
    kernel.tamper((state) => state.routes.clear());
    loop.wake();
    await clock.advance(10 * PERIOD_MS);
    expect(kernel.observed).toBe(before);
    expect(rounds).toHaveLength(1);
    expect(kernel.state.routes.size).toBe(0);
  });

  test("a freeze in the middle of a round ends it before the next phase", async () => {
    const { kernel, settle, want } = host();
    kernel.meanwhile = () => want({ plan: null });
    await settle();
    expect(kernel.batches).toHaveLength(1);
  });

  test("a gate that closes in the middle of a round stops the removals of that round", async () => {
    const { kernel, plan, settle, want } = host();
    const stray = { ...route(plan.kernel), dst: "10.5.77.0/24", dev: "eth0" };
    kernel.state.routes.set("10.5.77.0/24 0", stray);
    kernel.meanwhile = () => want({ prune: false });
    await settle();
    expect(kernel.applied.filter((op) => op.startsWith("del"))).toEqual([]);
  });

  test("what the log wants again in the middle of a round stays", async () => {
    const { kernel, log, settle, replan } = host();
    await settle();
    log.leave("h3");
    replan();
    // So that something is set before anything goes.
    kernel.tamper((state) => state.routes.delete("10.5.2.0/24 0"));
    kernel.meanwhile = () => {
      log.join("h3").claim("h3", ["10.5.3.0/24"]);
      replan();
    };
    await settle();
    expect(kernel.applied.filter((op) => op.startsWith("del"))).toEqual([]);
    expect(kernel.state.routes.has("10.5.3.0/24 0")).toBe(true);
  });

  test("removes nothing before it may, and everything of ours once it may", async () => {
    const { kernel, plan, settle, want } = host();
    want({ prune: false });
    const stray = { ...route(plan.kernel), dst: "10.5.77.0/24", dev: "eth0" };
    kernel.state.routes.set("10.5.77.0/24 0", stray);
    await settle();
    expect(kernel.state.routes.has("10.5.77.0/24 0")).toBe(true);
    expect(kernel.applied.filter((op) => op.startsWith("del"))).toEqual([]);
    want({ prune: true });
    await settle();
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("removes the device of an earlier configuration, found by its mark", async () => {
    const { kernel, plan, settle } = host();
    const [link] = plan.kernel.links.values();
    if (link === undefined) throw new Error("no device");
    kernel.state.links.set("heddle.77", { ...link, name: "heddle.77", vni: 77 });
    const scopes: (readonly string[])[] = [];
    const look = kernel.observe.bind(kernel);
    kernel.observe = (scope) => {
      scopes.push(scope.links);
      return look(scope);
    };
    await settle();
    expect(scopes[0]).toContain("heddle.77");
    expect([...kernel.state.links.keys()]).toEqual(["heddle.1"]);
  });

  test("removes the old device at once when the configuration names another", async () => {
    const test = host();
    await test.settle();
    test.log.config({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", VNI: 2 } });
    test.replan();
    await test.settle();
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect([...test.kernel.state.links.keys()]).toEqual(["heddle.2"]);
  });

  test("a renamed device goes before its successor comes, or the kernel would refuse", async () => {
    const { kernel, plan, settle } = host();
    const [link] = plan.kernel.links.values();
    if (link === undefined) throw new Error("no device");
    kernel.state.links.set("old", { ...link, name: "old" });
    await settle();
    expect(kernel.applied.slice(0, 2)).toEqual(["del link old", "set link heddle.1"]);
    expect(kernel.batches[0]).toHaveLength(2);
  });

  test("after stop it does nothing any more and holds no timer and no watch", async () => {
    const { kernel, clock, loop, settle } = host();
    await settle();
    await loop.stop();
    const before = kernel.observed;
    loop.wake();
    kernel.tamper((state) => state.routes.clear());
    await clock.advance(10 * PERIOD_MS);
    expect(kernel.observed).toBe(before);
    expect([clock.pending, kernel.watchers.size]).toEqual([0, 0]);
  });
});
