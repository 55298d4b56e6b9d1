// Packets between hosts, for fabrics that keep entries on demand: who talks to whom, and whether it
// arrives. A packet is the first hop's matter only: does this kernel know where to send it.

import { onDemand } from "../../src/events/fold-miss.ts";
import type { Fate } from "../support/kernel-model-miss.ts";
import type { FaultTable } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Prng } from "./prng.ts";
import { FABRIC } from "./process.ts";
import { Violation, type World } from "./world.ts";

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };
const CONFIGS: readonly [object, ...object[]] = [
  { ...V4, Backend: { Type: "vxlan", Mode: "on-miss" } },
  { ...V4, ...V6, Backend: { Type: "vxlan", Mode: "hybrid", HotPeers: 1 } },
  { ...V4, Backend: { Type: "vxlan", Mode: "hybrid", HotPeers: 2, DirectRouting: true } },
  { ...V4, Backend: { Type: "vxlan", Mode: "on-miss", VNI: 7 } },
];

/** A question is asked three times, a second apart. */
const PATIENCE_MS = 3500;

/** Gateways of peers that the host reaches through a tunnel, as its kernel has them. */
function gateways({ state }: Host): readonly { readonly dev: string; readonly via: string }[] {
  return [...state.routes.values()].flatMap(({ dev, via, onlink }) => {
    const isOurs = state.links.get(dev)?.alias === `heddle ${FABRIC}`;
    return isOurs && onlink && via !== null ? [{ dev, via }] : [];
  });
}

function talk(host: Host, random: Prng, times: number): string | null {
  const target = random.oneOf(gateways(host));
  if (target === null) return null;
  for (let i = 0; i < times; i++) {
    host.misses.send(target.dev, target.via, (fate) => host.say(`packet ${target.via} ${fate}`));
  }
  return `${host.node} to ${target.via}`;
}

function toStranger(host: Host, random: Prng): string | null {
  const dev = random.oneOf(gateways(host))?.dev;
  if (dev === undefined) return null;
  host.misses.send(dev, "10.5.250.7", (fate) => host.say(`packet 10.5.250.7 ${fate}`));
  return `${host.node} to nobody`;
}

function loseQuestions({ node, misses }: Host, random: Prng): string {
  misses.lossRate = random.pick([0, 0.5, 1]);
  if (random.chance(0.5)) misses.overrun();
  return `${node} loses ${misses.lossRate} of its questions`;
}

export const trafficFaults: FaultTable = {
  configOnDemand(world, random) {
    const document = random.pick(CONFIGS);
    world.command({ type: "Configure", document });
    return JSON.stringify(document);
  },
  packets(world, random) {
    const host = random.oneOf(world.hosts);
    if (host === null) return null;
    const what = random.int(0, 9);
    if (what === 0) return toStranger(host, random);
    return what < 3 ? loseQuestions(host, random) : talk(host, random, random.int(1, 3));
  },
};

/** For mutants: a world that talks on demand all the time, and whose processes do not last. */
export function alwaysTalking(world: World): void {
  const { steps, hosts, random, calm } = world;
  if (calm) return;
  if (steps === 30) world.command({ type: "Configure", document: CONFIGS[0] });
  for (const host of hosts) {
    if (steps % 40 === 0) talk(host, random, 1);
    if (steps % 400 === 399) host.process?.kill();
  }
}

/** Once all is at rest every packet to a peer arrives, on demand or not. */
export async function expectDelivery(world: World): Promise<void> {
  if (onDemand(world.oracle.state.config) === null) return;
  const open = new Map<string, Fate | "waiting">();
  for (const host of world.hosts) {
    host.misses.lossRate = 0;
    for (const { dev, via } of gateways(host)) {
      const name = `${host.node} to ${via}`;
      open.set(name, "waiting");
      host.misses.send(dev, via, (fate) => open.set(name, fate));
    }
  }
  await world.run(PATIENCE_MS);
  const lost = [...open].filter(([, fate]) => fate !== "delivered");
  if (lost.length > 0) throw new Violation("a packet to a peer arrives", lost.join("; "));
}
