// heddle doctor: gathers what can be learnt without changing anything, runs the checks, prints
// them.

import type { AgentStatus } from "../agent/status.ts";
import type { LogConnection } from "../events/log-jetstream.ts";
import { foldTo } from "../events/past.ts";
import type { PlanView } from "../http/views.ts";
import type { HostFacts } from "../reconcilers/kernel.ts";
import { askAgent } from "./agent-client.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import type { Check, Findings } from "./doctor-check.ts";
import { filterChecks } from "./doctor-filter.ts";
import { hostChecks } from "./doctor-host.ts";
import { agentChecks, logChecks, logUnreachable } from "./doctor-log.ts";
import { missCheck } from "./doctor-miss.ts";
import { wayCheck } from "./doctor-way.ts";
import { EXIT_FAILED, EXIT_OK, knownFailure } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";
import { socketPath, subnetFile } from "./paths.ts";

interface DoctorFlags extends LogFlags, NodeFlag {
  readonly socket?: string;
  readonly subnetFile?: string;
  readonly json?: boolean;
}

export async function doctor(deps: Deps, flags: DoctorFlags): Promise<number> {
  const checks = await diagnose(deps, flags);
  const failed = checks.some(({ result }) => result === "fail");
  if (flags.json) deps.out.json({ ok: !failed, checks });
  else for (const check of checks) printCheck(deps, check);
  return failed ? EXIT_FAILED : EXIT_OK;
}

function printCheck(deps: Deps, { name, result, found, advice }: Check): void {
  deps.out.line(`${result.padEnd(4)}  ${name.padEnd(18)}${found}`);
  if (advice !== null) deps.out.line(`${"".padEnd(24)}-> ${advice}`);
}

async function diagnose(deps: Deps, flags: DoctorFlags): Promise<readonly Check[]> {
  const socket = socketPath(flags);
  const status = await tried(askAgent<AgentStatus>(socket, "GET", "/v1/status"));
  const plan = await tried(askAgent<PlanView>(socket, "GET", "/v1/plan"));
  const local: Findings = {
    node: flags.node ?? status.value?.node ?? deps.hostName,
    fabric: flags.fabric,
    status: status.value,
    plan: plan.value,
    state: null,
    log: null,
    facts: (await tried(hostFacts(deps))).value,
  };
  const gathered = await tried(
    withLog(deps, flags, async (connection) => {
      const findings = await withLogFindings(deps, flags, connection, local);
      return { findings, checks: await logChecks(deps, connection, findings) };
    }),
  );
  const findings = gathered.value?.findings ?? local;
  return [
    ...agentChecks(findings, status.reason),
    ...(gathered.value?.checks ?? [logUnreachable(gathered.reason ?? "no answer")]),
    missCheck(findings),
    ...(await hostChecks(findings, subnetFile(flags))),
    ...(await filterChecks(findings)),
    await wayCheck(findings),
  ];
}

async function withLogFindings(
  deps: Deps,
  flags: DoctorFlags,
  { log }: LogConnection,
  local: Findings,
): Promise<Findings> {
  const info = await log.info();
  const state = await foldTo(log, flags.fabric, null, deps.wallMs());
  return { ...local, log: info, state };
}

async function hostFacts(deps: Deps): Promise<HostFacts> {
  const { kernel, close } = await deps.openKernel(null);
  try {
    return await kernel.facts();
  } finally {
    close();
  }
}

interface Tried<T> {
  readonly value: T | null;
  readonly reason: string | null;
}

/** A source that cannot be reached is a finding, not the end of the examination. */
async function tried<T>(work: Promise<T>): Promise<Tried<T>> {
  try {
    return { value: await work, reason: null };
  } catch (error) {
    const known = knownFailure(error);
    if (known === null) throw error;
    return { value: null, reason: known.message };
  }
}
