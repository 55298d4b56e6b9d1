// heddle down: leaves the fabric, then removes exactly what is ours from this host: devices
// marked with the fabric's name and what is on them, routes of our protocol that belong to no
// other fabric's device, our table, subnet.env when it is the one we wrote. Repeating it changes
// nothing more.

import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { sleep } from "../events/clock.ts";
import { decide } from "../events/decide.ts";
import { foldTo } from "../events/past.ts";
import { describe } from "../reconcilers/describe.ts";
import { diff } from "../reconcilers/diff.ts";
import type { Kernel, Scope } from "../reconcilers/kernel.ts";
import { emptyKernelState } from "../reconcilers/kernel-state.ts";
import { tableName } from "../reconcilers/rule.ts";
import { askAgent } from "./agent-client.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, Failure, knownFailure } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";
import { socketPath, stateDir, subnetFile } from "./paths.ts";
import { requireNetAdmin } from "./privilege.ts";
import { subnetFileIsOurs } from "./subnet-owner.ts";
import { appendEvent } from "./write.ts";

interface DownFlags extends LogFlags, NodeFlag {
  readonly socket?: string;
  readonly stateDir?: string;
  readonly subnetFile?: string;
  readonly purge?: boolean;
}

const STOP_MS = 10_000;
const LOOK_MS = 50;

export async function down(deps: Deps, flags: DownFlags): Promise<number> {
  requireNetAdmin(deps);
  const { kernel, close } = await deps.openKernel(null);
  try {
    // Before leaving, while whoever knows best can still be asked.
    const ours = await subnetFileIsOurs(deps, { ...flags, stateDir: stateDir(flags) });
    if (!(await leaveThroughAgent(deps, flags))) await leaveDirectly(deps, flags);
    const failed = await clearKernel(deps, flags.fabric, kernel);
    if (ours) await rm(subnetFile(flags), { force: true });
    if (ours) deps.out.line(`rm ${subnetFile(flags)}`);
    if (flags.purge && existsSync(stateDir(flags))) {
      await rm(stateDir(flags), { recursive: true, force: true });
      deps.out.line(`rm -r ${stateDir(flags)}`);
    }
    return failed ? EXIT_FAILED : EXIT_OK;
  } finally {
    close();
  }
}

/** False when no agent runs here. */
async function leaveThroughAgent(deps: Deps, flags: DownFlags): Promise<boolean> {
  const socket = socketPath(flags);
  if (!(await isServed(socket))) return false;
  try {
    await askAgent(socket, "POST", "/v1/leave", STOP_MS);
    deps.out.line("left the fabric");
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // It answered a moment ago; what keeps it is the log.
    const away = error.exitCode === EXIT_UNREACHABLE;
    const why = away ? "the agent cannot reach the log" : error.message;
    deps.out.note(`heddle: ${why}; the lease will expire by itself`);
  }
  await askAgent(socket, "POST", "/v1/stop");
  await untilGone(deps, socket);
  return true;
}

async function isServed(socket: string): Promise<boolean> {
  try {
    await askAgent(socket, "GET", "/healthz");
    return true;
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT_UNREACHABLE) return false;
    throw error;
  }
}

/** An agent that still runs would put right again what is removed here. */
async function untilGone(deps: Deps, socket: string): Promise<void> {
  const untilMs = deps.clock.nowMs() + STOP_MS;
  while (deps.clock.nowMs() < untilMs) {
    if (!(await isServed(socket))) return;
    await sleep(deps.clock, LOOK_MS);
  }
  throw new Failure(EXIT_FAILED, "the agent does not stop: end it first");
}

async function leaveDirectly(deps: Deps, flags: DownFlags): Promise<void> {
  const node = flags.node ?? deps.hostName;
  try {
    await withLog(deps, flags, async ({ log }) => {
      const state = await foldTo(log, flags.fabric, null, deps.wallMs());
      const decision = decide(state, { type: "Leave", node, reason: "heddle down" });
      if (!decision.ok) return;
      for (const draft of decision.events) await appendEvent(log, flags.fabric, draft);
      deps.out.line("left the fabric");
    });
  } catch (error) {
    const known = knownFailure(error);
    if (known === null) throw error;
    deps.out.note(`heddle: ${known.message}; the lease will expire by itself`);
  }
}

/** True when something could not be removed. */
async function clearKernel(deps: Deps, fabric: string, kernel: Kernel): Promise<boolean> {
  const have = await kernel.observe(await everythingOf(fabric, kernel));
  const ops = diff(emptyKernelState(), have, { fabric, prune: true });
  const outcomes = await kernel.apply(ops);
  let failed = false;
  ops.forEach((op, i) => {
    const outcome = outcomes[i];
    if (outcome?.ok === false) {
      failed = true;
      deps.out.note(`heddle: ${describe(op)}: ${outcome.message}`);
    } else deps.out.line(describe(op));
  });
  return failed;
}

/** Where anything of the fabric can be on this host, whatever its configuration was. */
export async function everythingOf(fabric: string, kernel: Kernel): Promise<Scope> {
  const { devices } = await kernel.facts();
  const marked = devices.filter(({ alias }) => alias === `heddle ${fabric}`);
  return {
    links: marked.map(({ name }) => name),
    // Routes of our protocol are seen on every device without naming it.
    routeDevs: [],
    sysctls: [],
    rules: [`inet ${tableName(fabric)}`],
  };
}
