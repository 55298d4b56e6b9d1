// What every implementation of the asking part of a kernel must do; run on the real kernel and on
// the model. A divergence is a bug of the model.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { keyOf, type Route } from "../../src/reconcilers/kernel-state.ts";
import type { Answer, Answered, Miss, MissKernel, MissWatch } from "../../src/reconcilers/miss.ts";
import { until } from "./fabric.ts";
import { dev, dev6, fdb, hostOps, neigh, route, set } from "./kernel-objects.ts";

export interface AskingHost {
  readonly kernel: Kernel;
  readonly misses: MissKernel;
  /** Sends a packet to an address behind the gateway; resolves with what became of it. */
  send(gateway: string): Promise<"delivered" | "refused">;
  dispose(): void;
}

const GATEWAY = "10.5.7.0";
const GATEWAY6 = "fd00:5:7::";

const asking = (family: "ipv4" | "ipv6", of: string) => [
  set("sysctl", { path: `net/${family}/neigh/${of}/app_solicit`, value: "3" }),
  set("sysctl", { path: `net/${family}/neigh/${of}/mcast_solicit`, value: "0" }),
];

function answer(of: string, ip: string, dst: string, mac = "02:00:00:00:07:07"): Answer[] {
  return [set("fdb", fdb(of, dst, mac)) as Answer, set("neigh", neigh(of, ip, mac)) as Answer];
}

export function missContract(name: string, make: () => AskingHost): void {
  describe(name, () => {
    let host: AskingHost;
    let heard: Miss[] = [];
    let gaps = 0;
    let watch: MissWatch;
    let answered: Answered[] = [];

    beforeEach(async () => {
      host = make();
      heard = [];
      gaps = 0;
      answered = [];
      const ops = [
        ...hostOps,
        ...asking("ipv4", dev),
        ...asking("ipv6", dev6),
        set("route", route(dev, "10.5.7.0/24", GATEWAY)),
        set("route", route(dev6, "fd00:5:7::/64", GATEWAY6)),
      ];
      for (const outcome of await host.kernel.apply(ops)) expect(outcome.ok).toBe(true);
      watch = host.misses.watchMisses({
        onMiss: (miss) => heard.push(miss),
        onAnswered: (each) => answered.push(each),
        onGap: () => gaps++,
      });
      await until("it listens", 2000, () => gaps === 1);
    });
    afterEach(() => {
      watch.close();
      host.dispose();
    });

    test.each([
      ["IPv4", dev, GATEWAY, "198.18.0.7"],
      ["IPv6", dev6, GATEWAY6, "2001:db8::7"],
    ])("%s: a packet waits for the answer to one question", async (_, of, gateway, dst) => {
      const sent = host.send(gateway);
      // It asks once a second until it is answered.
      await until("the question", 2000, () => heard.length >= 1);
      expect(heard[0]).toEqual({ dev: of, ip: gateway, sinceMs: 0 });
      const [open] = host.misses.pending([dev, dev6]);
      expect(open).toMatchObject({ dev: of, ip: gateway });
      const outcomes = host.misses.answer(answer(of, gateway, dst));
      expect(outcomes).toEqual([{ ok: true }, { ok: true }]);
      expect(await sent).toBe("delivered");
      expect(host.misses.pending([dev, dev6])).toEqual([]);
      const asked = heard.length;
      expect(await host.send(gateway)).toBe("delivered");
      expect(heard).toHaveLength(asked);
    });

    test.each([
      ["IPv4", dev, GATEWAY, "198.18.0.7"],
      ["IPv6", dev6, GATEWAY6, "2001:db8::7"],
    ])("%s: what was prepared is answered by itself, or told", async (_, of, gateway, dst) => {
      watch.prepare([{ ip: gateway, to: { mac: "02:00:00:00:07:07", dst } }]);
      watch.serve([dev, dev6]);
      const sent = host.send(gateway);
      if (watch.path.by === "thread") {
        expect(await sent).toBe("delivered");
        await until("it is told", 2000, () => answered.length === 1);
        expect(answered).toEqual([
          { dev: of, ip: gateway, waitedUs: expect.any(Number), ok: true },
        ]);
        expect(heard).toEqual([]);
        expect(host.misses.uses([of])).toContainEqual(
          expect.objectContaining({ dev: of, ip: gateway }),
        );
      } else {
        await until("the question", 2000, () => heard.length >= 1);
        host.misses.answer(answer(of, gateway, dst));
        expect(await sent).toBe("delivered");
      }
    });

    test("what a look shows of answers is told before anything is done about it", async () => {
      if (watch.path.by === "event-loop") return;
      watch.prepare([{ ip: GATEWAY, to: { mac: "02:00:00:00:07:07", dst: "198.18.0.7" } }]);
      watch.serve([dev, dev6]);
      const sent = host.send(GATEWAY);
      const shown = () => host.misses.uses([dev]).some(({ ip }) => ip === GATEWAY);
      // Without a turn of the event loop, in which it would be told unasked.
      const untilMs = performance.now() + 3000;
      while (!shown()) expect(performance.now()).toBeLessThan(untilMs);
      watch.drain();
      expect(answered).toHaveLength(1);
      expect(await sent).toBe("delivered");
    });

    test("nothing is answered that is not served, was taken back or is another's", async () => {
      const to = { mac: "02:00:00:00:07:07", dst: "198.18.0.7" };
      watch.prepare([{ ip: GATEWAY, to }]);
      const ask = async () => {
        const before = heard.length;
        const sent = host.send(GATEWAY);
        await until("the question", 2000, () => heard.length > before);
        const object = neigh(dev, GATEWAY);
        const key = keyOf.neigh(object);
        host.misses.answer([{ verb: "del", noun: "neigh", key, object, found: object }]);
        expect(await sent).toBe("refused");
      };
      await ask();
      watch.serve([dev6]);
      await ask();
      watch.serve([dev, dev6]);
      watch.prepare([{ ip: GATEWAY, to: null }]);
      await ask();
      watch.prepare([{ ip: "10.5.70.0", to }]);
      await ask();
      watch.drain();
      expect(answered).toEqual([]);
    });

    test("a question without an answer is asked again", async () => {
      const sent = host.send(GATEWAY);
      await until("two questions", 3000, () => heard.length >= 2);
      host.misses.answer(answer(dev, GATEWAY, "198.18.0.7"));
      expect(await sent).toBe("delivered");
    });

    test("a neighbour that is not to be had is refused, and asked for again later", async () => {
      for (const _ of ["at first", "later"]) {
        const before = heard.length;
        const sent = host.send(GATEWAY);
        await until("the question", 2000, () => heard.length > before);
        const object = neigh(dev, GATEWAY);
        const key = keyOf.neigh(object);
        const removal: Answer = { verb: "del", noun: "neigh", key, object, found: object };
        expect(host.misses.answer([removal])).toEqual([{ ok: true }]);
        expect(await sent).toBe("refused");
      }
    });

    test("tells since when nothing was sent to a neighbour of ours", async () => {
      const [use, ...others] = host.misses.uses([dev]);
      expect(others).toEqual([]);
      expect(use).toMatchObject({ dev, ip: "10.5.2.0" });
      await until("it rests", 3000, () => (host.misses.uses([dev])[0]?.idleMs ?? 0) >= 300);
      const startMs = performance.now();
      expect(await host.send("10.5.2.0")).toBe("delivered");
      // Not since before it was sent; the kernel counts in hundredths of a second.
      const idleMs = host.misses.uses([dev])[0]?.idleMs;
      expect(idleMs).toBeLessThan(performance.now() - startMs + 20);
      expect(host.misses.uses([dev, dev6]).map(({ ip }) => ip)).toEqual(["10.5.2.0", "fd00:5:2::"]);
    });

    test("says of a device that is not there that it is not", () => {
      const outcomes = host.misses.answer(answer("nowhere", GATEWAY, "198.18.0.7"));
      expect(outcomes.map((outcome) => !outcome.ok && outcome.errno)).toEqual([19, 19]);
      expect(host.misses.uses(["nowhere"])).toEqual([]);
      expect(host.misses.pending(["nowhere"])).toEqual([]);
    });

    test("a route that leads nowhere stands in nobody's way and asks nothing", async () => {
      for (const dst of ["10.5.0.0/16", "fd00:5::/32"]) {
        const wide = route("", dst, null, false);
        const object: Route = { ...wide, metric: 0xffff_ffff, unreachable: true };
        const ops = [set("route", object), set("route", object, object)];
        for (const outcome of await host.kernel.apply(ops)) expect(outcome).toEqual({ ok: true });
        const scope = { links: [dev], routeDevs: [], sysctls: [], rules: [] };
        const { routes } = await host.kernel.observe(scope);
        expect(routes.get(keyOf.route(object))).toEqual(object);
      }
      const more = set("route", route(dev6, "fd00:5:8::/64", "fd00:5:8::"));
      expect(await host.kernel.apply([more])).toEqual([{ ok: true }]);
      expect(await host.kernel.routeTo("10.5.99.1")).toBe(null);
      expect(await host.kernel.routeTo("10.5.7.1")).toBe(dev);
    });
  });
}
