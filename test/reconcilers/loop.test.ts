import { afterEach, describe, expect, test } from "bun:test";
import { desired } from "../../src/reconcilers/desired.ts";
import type { KernelState, Route } from "../../src/reconcilers/kernel-state.ts";
import { createLoop, type Loop, type Round, type Wanted } from "../../src/reconcilers/loop.ts";
import { type History, history } from "../support/history.ts";
import { manualClock } from "../support/manual-clock.ts";
import { MapKernel } from "../support/map-kernel.ts";

const PERIOD_MS = 15_000;
const loops: Loop[] = [];
afterEach(async () => {
  for (const loop of loops.splice(0)) await loop.stop();
});

/** A host h1 with two peers, its kernel, and a loop between them. */
function host(log: History = fabric()) {
  const kernel = new MapKernel();
  const clock = manualClock();
  const rounds: Round[] = [];
  let want: Wanted = { plan: desired(log.state(), "h1"), prune: true };
  const loop = createLoop({
    kernel,
    clock,
    wanted: () => want,
    onRound: (round) => rounds.push(round),
    periodMs: PERIOD_MS,
  });
  loops.push(loop);
  return {
    kernel,
    clock,
    rounds,
    loop,
    log,
    get plan() {
      if (want.plan === null) throw new Error("no plan");
      return want.plan;
    },
    want: (change: Partial<Wanted>) => {
      want = { ...want, ...change };
    },
    /** The log moved on. */
    replan: () => {
      want = { ...want, plan: desired(log.state(), "h1") };
    },
    /** Wakes the loop and lets it finish, yields included. */
    settle: async () => {
      loop.wake();
      await clock.advance(0);
      await loop.idle();
    },
    get last(): Round {
      const round = rounds.at(-1);
      if (round === undefined) throw new Error("no round yet");
      return round;
    },
  };
}

function fabric(): History {
  const log = history("blue").config({ Network: "10.5.0.0/16" }).join("h1");
  log.claim("h1", ["10.5.1.0/24"]).join("h2").claim("h2", ["10.5.2.0/24"]);
  return log.join("h3").claim("h3", ["10.5.3.0/24"]);
}

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

  test("writes nothing and looks once when all is well", async () => {
    const { kernel, settle, rounds } = host();
    await settle();
    const before = { batches: kernel.batches.length, observed: kernel.observed };
    await settle();
    expect(kernel.batches.length).toBe(before.batches);
    expect(kernel.observed).toBe(before.observed + 1);
    expect(rounds.at(-1)?.clean).toBe(true);
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
    expect(rounds).toHaveLength(1);
    expect(clock.next()).toBe(clock.nowMs());
  });

  test("runs again at once when the log moved on meanwhile", async () => {
    const { kernel, log, rounds, replan, settle } = host();
    kernel.meanwhile = () => {
      log.join("h4").claim("h4", ["10.5.4.0/24"]);
      replan();
    };
    await settle();
    expect(rounds.map((round) => round.seq)).toEqual([7, 9]);
    expect(kernel.state.routes.has("10.5.4.0/24 0")).toBe(true);
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
    expect([...(rounds[0]?.failures ?? [])]).toEqual([
      ["host", "link heddle.1: ENODEV no underlay"],
    ]);
    kernel.refuse = () => null;
    await clock.advance(100);
    expect<KernelState>(kernel.state).toEqual(plan.kernel);
  });

  test("a device of another fabric is left to it, and said to be in the way", async () => {
    const { kernel, plan, settle, rounds } = host();
    const [link] = plan.kernel.links.values();
    if (link === undefined) throw new Error("no device");
    kernel.state.links.set(link.name, { ...link, alias: "heddle green" });
    await settle();
    expect(kernel.state.links.get(link.name)?.alias).toBe("heddle green");
    expect(rounds[0]?.failures.get("host")).toContain("belongs to another fabric ('heddle green')");
  });

  test("what the kernel accepts and ignores is a failure and not an endless loop", async () => {
    const { kernel, clock, settle, rounds } = host();
    kernel.ignore = (op) => op.noun === "rule";
    await settle();
    expect(rounds).toHaveLength(1);
    expect(rounds[0]?.failures.get("host")).toContain("accepted, yet still missing");
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

  test("a kernel that cannot be read is asked again, later each time, with a new watch", async () => {
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

  test("removes nothing before it may, and everything of ours once it may", async () => {
    const { kernel, plan, settle, want } = host();
    want({ prune: false });
    const stray = { ...route(plan.kernel), dst: "10.5.77.0/24" };
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

  test("a renamed device goes before the one in its place comes, or the kernel would refuse", async () => {
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

function route(state: { readonly routes: ReadonlyMap<string, Route> }) {
  const [first] = state.routes.values();
  if (first === undefined) throw new Error("no route");
  return first;
}
