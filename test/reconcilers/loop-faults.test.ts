// The loop against the kernel model while everything goes wrong at once: ops fail at random,
// notifications are lost, an administrator deletes and changes things, the log moves on. When the
// faults stop, the kernel must be as wanted, and what is foreign must be as it was.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { desired } from "../../src/reconcilers/desired.ts";
import { diff } from "../../src/reconcilers/diff.ts";
import { keyOf, type Noun, type Route } from "../../src/reconcilers/kernel-state.ts";
import { createLoop, type Round } from "../../src/reconcilers/loop.ts";
import { mapOf } from "../../src/reconcilers/nouns.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { tableOf } from "../support/apply-ops.ts";
import { type History, history } from "../support/history.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { manualClock } from "../support/manual-clock.ts";

const FOREIGN: Route = {
  dst: "10.99.0.0/16",
  via: "198.18.0.254",
  dev: "eth0",
  onlink: false,
  metric: 0,
  protocol: 4,
  extra: null,
};
/** EBUSY, EINVAL, ENOBUFS, ENODEV. */
const ERRNOS = [16, 22, 105, 19];

type Step =
  | { readonly do: "join" | "leave" | "move"; readonly peer: number }
  | { readonly do: "remove"; readonly noun: Noun; readonly nth: number }
  | { readonly do: "stray"; readonly nth: number }
  | { readonly do: "down" | "blind" | "direct" | "tunnel" | "freeze" | "thaw" }
  | { readonly do: "pass"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("join" as const, "leave" as const, "move" as const),
    peer: fc.integer({ min: 2, max: 5 }),
  }),
  fc.record({
    do: fc.constant("remove" as const),
    noun: fc.constantFrom<Noun>("link", "addr", "route", "neigh", "fdb", "rule"),
    nth: fc.nat(5),
  }),
  fc.record({ do: fc.constant("stray" as const), nth: fc.nat(5) }),
  fc.record({
    do: fc.constantFrom(
      "down" as const,
      "blind" as const,
      "direct" as const,
      "tunnel" as const,
      "freeze" as const,
      "thaw" as const,
    ),
  }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(0, 1, 100, 2000) }),
);

test("converges after faults, removes nothing foreign, never half-programs a peer", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 20 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (steps, dice) => {
        const world = makeWorld(() => dice.next().value ?? 0);
        world.kernel.failRandomly(0.3, ERRNOS);
        for (const each of steps) {
          act(world, each);
          await world.clock.advance(0);
        }
        world.kernel.failRandomly(0, []);
        world.frozen = false;
        world.loop.wake();
        await world.clock.advance(120_000);
        const { kernel, log, rounds } = world;
        const plan = desired(log.state(), "h1");
        const have = await kernel.observe(plan.scope);
        expect(diff(plan.kernel, have, { fabric: "blue", prune: true })).toEqual([]);
        expect(kernel.state.routes.get(keyOf.route(FOREIGN))).toEqual(FOREIGN);
        expect(rounds.at(-1)).toMatchObject({ clean: true, error: null, retryAtMs: null });
        expect(rounds.at(-1)?.failures.size).toBe(0);
        expect(world.halves).toEqual([]);
        await world.loop.stop();
      },
    ),
    { numRuns: 150 },
  );
});

interface World {
  readonly kernel: KernelModel;
  readonly clock: ReturnType<typeof manualClock>;
  readonly log: History;
  readonly loop: ReturnType<typeof createLoop>;
  readonly rounds: Round[];
  /** Routes that were set while what they need was not there. */
  readonly halves: string[];
  frozen: boolean;
}

function makeWorld(random: () => number): World {
  const kernel = new KernelModel(random);
  kernel.put("link", hostLink("eth0"));
  kernel.put("addr", { dev: "eth0", address: "198.18.0.1/15" });
  kernel.put("route", FOREIGN);
  const clock = manualClock();
  const log = history("blue").config({ Network: "10.5.0.0/16" }).join("h1");
  log.claim("h1", ["10.5.1.0/24"]);
  const rounds: Round[] = [];
  const halves: string[] = [];
  const apply = kernel.apply.bind(kernel);
  kernel.apply = (ops) => {
    for (const op of ops) if (isHalf(op, kernel)) halves.push(op.key);
    return apply(ops);
  };
  const world = { frozen: false };
  let plan = desired(log.state(), "h1");
  const loop = createLoop({
    kernel,
    clock,
    wanted: () => {
      if (plan.seq !== log.state().seq) plan = desired(log.state(), "h1");
      return { plan: world.frozen ? null : plan, prune: true };
    },
    onRound: (round) => rounds.push(round),
  });
  return Object.assign(world, { kernel, clock, log, loop, rounds, halves });
}

function isHalf(op: Op, kernel: KernelModel): boolean {
  if (op.noun !== "route" || op.verb !== "set" || !op.object.onlink) return false;
  return !kernel.state.neighs.has(`${op.object.dev} ${op.object.via}`);
}

function act(world: World, each: Step): void {
  const { kernel, log, loop } = world;
  switch (each.do) {
    case "join":
    case "leave":
    case "move":
      changeLog(log, each.do, each.peer);
      break;
    case "direct":
    case "tunnel": {
      const DirectRouting = each.do === "direct";
      log.config({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", DirectRouting } });
      break;
    }
    case "remove":
      removeNth(kernel, each.noun, each.nth);
      break;
    case "stray":
      if (!kernel.state.links.has("heddle.1")) break;
      kernel.put("fdb", {
        dev: "heddle.1",
        mac: `02:00:00:00:00:0${each.nth}`,
        dst: "198.18.0.77",
        permanent: true,
        extra: null,
      });
      break;
    case "down":
      if (kernel.state.links.has("heddle.1")) kernel.setUp("heddle.1", false);
      break;
    case "blind":
      kernel.loseNotifications(3);
      break;
    case "freeze":
    case "thaw":
      world.frozen = each.do === "freeze";
      break;
    case "pass":
      void world.clock.advance(each.ms);
      return;
  }
  loop.wake();
}

function changeLog(log: History, what: "join" | "leave" | "move", peer: number): void {
  const name = `h${peer}`;
  const present = log.state().nodes.get(name)?.present ?? false;
  if (what === "join" && !present) log.join(name).claim(name, [`10.5.${peer}.0/24`]);
  if (what === "leave" && present) log.leave(name);
  if (what === "move" && present)
    log.update(name, { publicIp: `198.19.0.${log.state().seq % 200}` });
}

function removeNth(kernel: KernelModel, noun: Noun, nth: number): void {
  const keys = [...tableOf(kernel.state, noun)].flatMap(([key, object]) => {
    const dev = "dev" in object ? object.dev : key;
    return dev === "eth0" ? [] : [key];
  });
  const key = keys[nth % Math.max(1, keys.length)];
  if (key !== undefined && mapOf[noun] in kernel.state) kernel.remove(noun, key);
}
