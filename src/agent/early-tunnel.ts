// The packet path before the log: with the udp backend no packet flows while no agent runs, so a
// restarted one first goes on where the last one was killed, and then asks the log. What it puts
// in place is what this very host had: its own snapshot, and only if the device is still there.
// Nothing is added to the kernel and nothing removed; whatever has changed since is the loop's.

import type { Snapshot } from "../events/snapshot.ts";
import { desired } from "../reconcilers/desired.ts";
import { diff } from "../reconcilers/diff.ts";
import type { Kernel } from "../reconcilers/kernel.ts";
import { aliasOf } from "../reconcilers/link.ts";
import type { Op } from "../reconcilers/op.ts";
import type { Logger } from "./logger.ts";

export interface EarlyTunnelDeps {
  readonly kernel: Kernel;
  readonly logger: Logger;
  /** As the last process left it, if it left any. */
  readonly snapshot: Promise<Snapshot | null>;
}

export interface EarlyTunnelOptions {
  readonly fabric: string;
  readonly node: string;
  readonly instance: string;
}

/** Opens the tunnel with the peers of the snapshot, if there is a device without one. */
export async function openTunnelEarly(
  deps: EarlyTunnelDeps,
  options: EarlyTunnelOptions,
): Promise<void> {
  try {
    await openTunnel(deps, options);
  } catch (error) {
    // Nothing depends on it but time; the loop meets the same trouble and says so to everybody.
    const reason = error instanceof Error ? error.message : String(error);
    deps.logger.warn("tunnel not open before the log", { reason });
  }
}

async function openTunnel(
  deps: EarlyTunnelDeps,
  { fabric, node, instance }: EarlyTunnelOptions,
): Promise<void> {
  const { kernel, logger } = deps;
  const snapshot = await deps.snapshot;
  // After a reboot, or in another namespace, nobody counts on it: the log is asked first.
  const holder = snapshot?.state.nodes.get(node)?.instance;
  if (snapshot === null || snapshot.writer !== instance || holder !== instance) return;
  // Where no tunnel was, its device need not be looked for.
  if (snapshot.state.config?.backend.type !== "udp" || !snapshot.state.leases.has(node)) return;
  const { devices } = await kernel.facts();
  const ours = devices.filter(({ alias, kind }) => alias === aliasOf(fabric) && kind === "tun");
  if (ours.length === 0) return;
  const plan = desired(snapshot.state, node);
  const links = ours.map(({ name }) => name).filter((name) => plan.kernel.links.has(name));
  const scope = { links, routeDevs: [], sysctls: [], rules: [] };
  const ops = diff(plan.kernel, await kernel.observe(scope), { fabric, prune: false });
  const device = ops.filter(({ noun, key }) => noun === "link" && links.includes(key));
  // The peers after their device: a kernel applies one call after the other.
  for (const some of [device, ops.filter(({ noun }) => noun === "peer")]) {
    if (!(await allApplied(kernel, some))) return;
  }
  logger.debug("tunnel open before the log", { peers: plan.kernel.peers.size });
}

/** What cannot be done now is the loop's to try again, and to report. */
async function allApplied(kernel: Kernel, ops: readonly Op[]): Promise<boolean> {
  if (ops.length === 0) return true;
  const outcomes = await kernel.apply(ops);
  return outcomes.every(({ ok }) => ok);
}
