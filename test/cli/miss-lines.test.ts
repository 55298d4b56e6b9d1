// Entries on demand in status and doctor.

import { expect, test } from "bun:test";
import type { MissStatus } from "../../src/agent/on-demand.ts";
import type { AgentStatus } from "../../src/agent/status.ts";
import type { Findings } from "../../src/cli/doctor-check.ts";
import { missCheck } from "../../src/cli/doctor-miss.ts";
import { missLine } from "../../src/cli/miss-lines.ts";
import { history } from "../support/history.ts";

const counts = { held: 20, hotPeers: 0, answered: 31, unknown: 0, suppressed: 0 };
const misses = { ...counts, mode: "on-miss", path: { by: "thread", realtime: true } } as const;

test("status tells what is held and what was asked", () => {
  expect(missLine({ ...misses, mode: "on-miss" })).toBe(
    "on demand   on-miss: 20 held; 31 misses answered, 0 of nobody",
  );
  const flood = { unknown: 500, suppressed: 468 };
  expect(missLine({ ...misses, ...flood, mode: "hybrid", hotPeers: 64 })).toBe(
    "on demand   hybrid: 20 held, the last 64 kept; " +
      "31 misses answered, 500 of nobody (468 not in the log)",
  );
});

test("status says when nobody answers before the event loop does, and why", () => {
  const line = (path: MissStatus["path"]) => missLine({ ...misses, path });
  expect(line({ by: "event-loop", reason: "the native library is not built" })).toEndWith(
    "0 of nobody; no thread answers: the native library is not built",
  );
  expect(line({ by: "thread", realtime: false })).toEndWith("the answering thread has no priority");
});

test("doctor wants an agent where the kernel asks, and wonders about a scan", () => {
  const of = (mode: string, status: object | null): string => {
    const config = { Network: "10.5.0.0/16", Backend: { Type: "vxlan", Mode: mode } };
    const state = history("f").config(config).state();
    const rest = { plan: null, log: null, facts: null };
    const findings: Findings = { node: "h1", fabric: "f", state, ...rest, status: null };
    return missCheck({ ...findings, status: status as AgentStatus | null }).result;
  };
  expect(of("proactive", null)).toBe("ok");
  expect(of("on-miss", null)).toBe("fail");
  expect(of("on-miss", {})).toBe("warn");
  expect(of("on-miss", { misses })).toBe("ok");
  expect(of("hybrid", { misses: { ...misses, unknown: 5000 } })).toBe("warn");
});
