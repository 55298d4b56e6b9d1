// What the kernel was told is counted by kind, what it refused by its error.

import { expect, test } from "bun:test";
import { countOps } from "../../src/agent/op-counts.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { diff } from "../../src/reconcilers/diff.ts";
import { emptyKernelState } from "../../src/reconcilers/kernel-state.ts";
import { history } from "../support/history.ts";
import { KernelModel } from "../support/kernel-model.ts";

const plan = desired(
  history("t").config({ Network: "10.5.0.0/16" }).join("h1").claim("h1", ["10.5.1.0/24"]).state(),
  "h1",
);

test("ops are counted by verb and noun, failures by errno; outcomes pass", async () => {
  const model = new KernelModel();
  const { kernel, counts } = countOps(model);
  const ops = diff(plan.kernel, emptyKernelState(), { fabric: "t", prune: false });
  model.failNext(22, ({ noun }) => noun === "link");
  const outcomes = await kernel.apply(ops);
  const links = ops.filter(({ noun }) => noun === "link").length;
  expect(links).toBeGreaterThan(0);
  expect(counts().sent.get("set link")).toBe(links);
  expect([...counts().sent.values()].reduce((sum, count) => sum + count)).toBe(ops.length);
  expect(counts().failed.get("EINVAL")).toBe(1);
  expect(outcomes.find((outcome) => !outcome.ok)).toMatchObject({ errno: 22 });
});
