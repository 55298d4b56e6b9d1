// The document says what a plan is: it must say so of every backend's.

import { expect, test } from "bun:test";
import { isoTime } from "../../src/events/point.ts";
import { planSchema } from "../../src/http/schema-plan.ts";
import { planView } from "../../src/http/views.ts";
import { describePlan } from "../../src/reconcilers/describe.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { history } from "../support/history.ts";

const BACKENDS = [
  { Type: "vxlan" },
  { Type: "vxlan", DirectRouting: true },
  { Type: "vxlan", Mode: "on-miss" },
  { Type: "vxlan", Mode: "hybrid" },
  { Type: "vxlan", Mode: "head-end" },
  { Type: "host-gw" },
  { Type: "udp" },
  { Type: "alloc" },
];

test.each(BACKENDS)("the plan of a host with %j is one by its schema", (backend) => {
  const log = history("t").config({ Network: "10.5.0.0/16", Backend: backend });
  log.join("h1").claim("h1", ["10.5.1.0/24"]).join("h2").claim("h2", ["10.5.2.0/24"]);
  const plan = desired(log.state(), "h1");
  const time = isoTime(log.state().timeMs);
  const document = { ...planView(plan), time, commands: describePlan(plan) };
  expect(planSchema.safeParse(document).error?.message).toBeUndefined();
  expect(plan.peers).toHaveLength(1);
  const shown = Object.entries(document.kernel).map(([noun, objects]) => [noun, objects.length]);
  const wanted = Object.entries(plan.kernel).map(([noun, objects]) => [noun, objects.size]);
  expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(wanted));
});
