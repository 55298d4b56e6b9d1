import { expect, test } from "bun:test";
import type { Identity } from "../../src/agent/member.ts";
import type { Planner } from "../../src/agent/planner.ts";
import { Progress } from "../../src/agent/progress.ts";
import type { Tail, TailView } from "../../src/agent/tail.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { FabricState } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import type { Round } from "../../src/reconcilers/loop.ts";
import type { PeerPlan, Plan } from "../../src/reconcilers/plan.ts";
import { agentOnModel } from "../support/agent-on-model.ts";
import { manualClock } from "../support/manual-clock.ts";

function peer(i: number): Draft {
  const subnet = `10.9.${i}.0/24`;
  const vtepMac = `02:00:00:00:00:${String(i + 10)}`;
  return {
    type: "PeerAdded",
    data: { name: `p${i}`, subnet, publicIp: `198.18.9.${i + 1}`, vtepMac },
  };
}

test("what is said to be applied is in the kernel, also while records keep coming", async () => {
  const clock = manualClock();
  const { agent, client, kernel, applied } = await agentOnModel(clock);
  await clock.advance(3000);
  expect(agent.status().state).toBe("ready");
  const look = kernel.observe.bind(kernel);
  kernel.observe = async (scope) => {
    await new Promise<void>((resolve) => clock.after(10, resolve));
    return look(scope);
  };
  const added: { seq: number; route: string }[] = [];
  const missing: string[] = [];
  for (let ms = 0; ms < 300; ms++) {
    if (ms % 7 === 0 && ms < 200) {
      const i = ms / 7;
      const draft = peer(i);
      const message = { subject: subjectOf("t", draft), payload: encode(draft, `p${i}`) };
      const stored = await client.log.append({ ...message, id: `p${i}` });
      if (stored.ok) added.push({ seq: stored.seq, route: `10.9.${i}.0/24 0` });
    }
    await clock.advance(1);
    const last = applied.at(-1) ?? 0;
    for (const { seq, route } of added) {
      if (seq <= last && !kernel.state.routes.has(route)) missing.push(`${route} at ${last}`);
    }
  }
  expect(missing).toEqual([]);
  expect(applied.at(-1)).toBe(added.at(-1)?.seq ?? 0);
  const stopped = agent.stop();
  await clock.advance(100);
  await stopped;
});

test("nothing is applied while the plan has yet to follow the log", () => {
  const applied: number[] = [];
  const plan = { seq: 5, problems: [] as string[], peers: [] as PeerPlan[] } as unknown as Plan;
  let current = false;
  const planner = { last: () => plan, plan: () => plan, isCurrent: () => current } as Planner;
  const tail = {
    state: () => ({ seq: 7 }) as FabricState,
    view: () =>
      ({ seq: 7, caughtUp: false, damage: null, connected: true, trouble: null }) as TailView,
  } as Tail;
  const ignore = (): void => undefined;
  const progress = new Progress({
    clock: manualClock(),
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    identity: { node: "h1", instance: "i1", version: "0" } as Identity,
    ...{ tail, planner, fileInPlace: () => true, stopping: () => false, healed: () => 0 },
    onDemand: () => ({ problem: () => null }),
    onApplied: (seq) => applied.push(seq),
  });
  const round = { seq: 5, clean: true, failures: new Map(), driftCount: 0 } as unknown as Round;
  progress.noteRound(round);
  expect(applied).toEqual([]);
  current = true;
  progress.noteApplied();
  expect(applied).toEqual([7]);
});
