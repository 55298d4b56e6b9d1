// A host h1 in a fabric of three, with a loop between its log and a kernel of maps, and a clock
// that the test turns: what the tests of the loop have in common.

import { desired } from "../../src/reconcilers/desired.ts";
import type { Route } from "../../src/reconcilers/kernel-state.ts";
import { createLoop, type Loop, type Round, type Wanted } from "../../src/reconcilers/loop.ts";
import { type History, history } from "./history.ts";
import { manualClock } from "./manual-clock.ts";
import { MapKernel } from "./map-kernel.ts";

export const PERIOD_MS = 15_000;
const loops: Loop[] = [];

/** For afterEach: a loop that outlives its test would fail another one. */
export async function stopLoops(): Promise<void> {
  for (const loop of loops.splice(0)) await loop.stop();
}

/** A host h1 with two peers, its kernel, and a loop between them. */
export function host(log: History = fabric()) {
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

export function fabric(): History {
  const log = history("blue").config({ Network: "10.5.0.0/16" }).join("h1");
  log.claim("h1", ["10.5.1.0/24"]).join("h2").claim("h2", ["10.5.2.0/24"]);
  return log.join("h3").claim("h3", ["10.5.3.0/24"]);
}

/** Any route of a plan, to be changed into another. */
export function route(state: { readonly routes: ReadonlyMap<string, Route> }) {
  const [first] = state.routes.values();
  if (first === undefined) throw new Error("no route");
  return first;
}
