// The faults that tests inject into the model of the kernel.

import { expect, test } from "bun:test";
import { hostLink, KernelModel, ModelCrash } from "../support/kernel-model.ts";
import { dev, link, neigh, scope, set } from "../support/kernel-objects.ts";

function model(random?: () => number): KernelModel {
  const made = new KernelModel(random);
  made.put("link", hostLink("eth0"));
  made.put("link", link);
  return made;
}

const first = set("neigh", neigh(dev, "10.5.2.0"));
const second = set("neigh", neigh(dev, "10.5.3.0"));

test("an injected errno fails one matching op and changes nothing", async () => {
  const kernel = model();
  kernel.failNext(105, (op) => op.key === second.key);
  const outcomes = await kernel.apply([first, second, second]);
  expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true]);
});

test("a crash leaves the ops before it done", async () => {
  const kernel = model();
  kernel.crashAfter(1);
  expect(kernel.apply([first, second])).rejects.toThrow(ModelCrash);
  kernel.crashAfter(Number.POSITIVE_INFINITY);
  expect(Array.from((await kernel.observe(scope)).neighs.keys())).toEqual([first.key]);
});

test("a lost notification wakes nobody, the next one does", async () => {
  const kernel = model();
  let wakes = 0;
  kernel.watch(() => {
    wakes += 1;
  });
  kernel.loseNotifications(1);
  kernel.setUp(dev, false);
  await Promise.resolve();
  expect(wakes).toBe(0);
  kernel.setUp(dev, true);
  await Promise.resolve();
  expect(wakes).toBe(1);
});

test("random faults follow the generator that was passed in", async () => {
  const numbers = [0.05, 0.6, 0.9];
  const kernel = model(() => numbers.shift() ?? 1);
  kernel.failRandomly(0.1, [16, 105]);
  const outcomes = await kernel.apply([first, first, first]);
  expect(outcomes.map((outcome) => (outcome.ok ? 0 : outcome.errno))).toEqual([105, 0, 0]);
});
