// Entries on demand where the kernel fails: a problem of the host for as long as it lasts, found
// and healed without a restart, and never the end of the agent. The packets are the model's.

import { expect, test } from "bun:test";
import { NativeError } from "../../src/ffi/libc.ts";
import type { MissKernel, MissWatch } from "../../src/reconcilers/miss.ts";
import { agentOnModel } from "../support/agent-on-model.ts";
import type { Fate, MissModel } from "../support/kernel-model-miss.ts";
import { manualClock } from "../support/manual-clock.ts";

const EMFILE = 24;
const DEV = "heddle.1";
const GATEWAY = "10.5.200.0";

type Part = keyof MissKernel | "prepare";

/** Throws `error` wherever `broken` says. */
function failing(model: MissModel, broken: ReadonlySet<Part>, error: Error): MissKernel {
  const or = <T>(part: Part, work: () => T): T => {
    if (broken.has(part)) throw error;
    return work();
  };
  return {
    watchMisses: (watcher) =>
      or("watchMisses", (): MissWatch => {
        const watch = model.watchMisses(watcher);
        return { ...watch, prepare: (rows) => or("prepare", () => watch.prepare(rows)) };
      }),
    pending: (devs) => or("pending", () => model.pending(devs)),
    answer: (ops) => or("answer", () => model.answer(ops)),
    uses: (devs) => or("uses", () => model.uses(devs)),
  };
}

async function started(broken: Set<Part>, error: Error, thread: boolean) {
  const clock = manualClock();
  const host = await agentOnModel(clock, undefined, {
    mode: "on-miss",
    missesOf: (model) => {
      model.thread = thread;
      return failing(model, broken, error);
    },
  });
  await clock.advance(3000);
  const fates: Fate[] = [];
  return {
    ...host,
    clock,
    fates,
    send: () => host.misses.send(DEV, GATEWAY, (fate) => void fates.push(fate)),
    stop: async () => {
      const ended = host.agent.stop();
      await clock.advance(1000);
      await ended;
    },
  };
}

const error = new NativeError("socket", EMFILE);

test.each([
  ["watchMisses", "questions are not heard"],
  ["uses", "held entries are not read"],
  ["pending", "a question is not answered"],
  ["prepare", "no answers are prepared"],
] as const)("a start while %s fails says so, and is over when it succeeds", async (part, words) => {
  const broken = new Set<Part>([part]);
  const { agent, clock, send, fates, stop, lines } = await started(broken, error, true);
  const problem = `entries on demand: ${words}: socket: errno 24`;
  expect(agent.status()).toMatchObject({ state: "degraded", problems: [problem] });
  await clock.advance(10_000);
  expect(agent.status().problems).toEqual([problem]);
  expect(lines.filter((line) => line.includes("errno 24"))).toHaveLength(1);
  broken.clear();
  await clock.advance(2000);
  expect(agent.status()).toMatchObject({ state: "ready", problems: [] });
  send();
  await clock.advance(10);
  expect(fates).toEqual(["delivered"]);
  await stop();
});

test.each([
  ["thread", true],
  ["event loop", false],
])("a packet that waits while nobody hears is sent on when the %s does", async (_, thread) => {
  const broken = new Set<Part>(["watchMisses"]);
  const { clock, send, fates, stop } = await started(broken, error, thread);
  send();
  await clock.advance(500);
  expect(fates).toEqual([]);
  broken.clear();
  await clock.advance(1500);
  expect(fates).toEqual(["delivered"]);
  await stop();
});

test("an answer that throws is not thrown at who asked; the question is taken again", async () => {
  const broken = new Set<Part>();
  const bug = new RangeError("not what it seemed");
  const { agent, clock, send, fates, stop } = await started(broken, bug, false);
  expect(agent.status().state).toBe("ready");
  broken.add("answer");
  send();
  await clock.advance(100);
  expect(fates).toEqual([]);
  expect(agent.status().problems).toEqual([
    "entries on demand: a question is not answered: not what it seemed",
  ]);
  broken.clear();
  await clock.advance(2000);
  expect(fates).toEqual(["delivered"]);
  expect(agent.status()).toMatchObject({ state: "ready", problems: [] });
  await stop();
});

test("a flood of gaps is read once, and what is left a second later", async () => {
  let dumps = 0;
  const clock = manualClock();
  const { agent, misses } = await agentOnModel(clock, undefined, {
    mode: "on-miss",
    missesOf: (model) => {
      const port = failing(model, new Set(), error);
      return {
        ...port,
        pending: (devs) => {
          dumps++;
          return port.pending(devs);
        },
      };
    },
  });
  await clock.advance(3000);
  const before = dumps;
  for (let i = 0; i < 50; i++) {
    misses.overrun();
    await clock.advance(10);
  }
  expect(dumps).toBe(before + 1);
  await clock.advance(3000);
  expect(dumps).toBe(before + 2);
  const ended = agent.stop();
  await clock.advance(1000);
  await ended;
});
