// A long log for benchmarks: a year of a fabric, stored as fast as the server takes it.

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { subjectOf } from "../src/events/subject.ts";
import { defaultMember } from "../test/support/history.ts";

export const FABRIC = "bench";
/** Published and not yet acknowledged. */
const WINDOW = 4000;

/** A year of a fabric in order: joins and claims, then renewals, updates and reports. */
export function* story(nodes: number): Generator<Draft> {
  const config = { Network: "10.0.0.0/8", Backend: { Type: "vxlan" } };
  yield { type: "FabricConfigured", data: { config } };
  const members = Array.from({ length: nodes }, (_, i) => defaultMember(FABRIC, `node-${i + 1}`));
  const leases = members.map(({ node }, i) => {
    const subnet = `10.${1 + (i >> 8)}.${i & 255}.0/24`;
    return { node, epoch: 1, subnets: [subnet], ttlSeconds: 86_400 };
  });
  for (const member of members) yield { type: "NodeJoined", data: member };
  for (const lease of leases) yield { type: "LeaseClaimed", data: lease };
  for (let turn = 0; ; turn++) {
    const member = members[turn % nodes];
    const lease = leases[turn % nodes];
    if (member === undefined || lease === undefined) return;
    const { node } = member;
    const other = leases[(turn * 7919) % nodes]?.subnets[0] ?? "";
    // Of ten events six are renewals, one an update, three reports; by turns for every node.
    switch ((turn + Math.floor(turn / nodes)) % 10) {
      case 0:
        yield { type: "NodeUpdated", data: member };
        break;
      case 3:
        yield {
          type: "DriftHealed",
          data: { node, count: 1, items: [{ ...drift, wanted: `${other} dev heddle.1` }] },
        };
        break;
      case 5:
        yield { type: "HostDegraded", data: { node, problems: ["underlay device eth0 is down"] } };
        break;
      case 7:
        yield { type: "HostRecovered", data: { node } };
        break;
      default:
        yield { type: "LeaseRenewed", data: lease };
    }
  }
}

const drift = { noun: "route", problem: "missing" as const, found: null };

/** Stores `events` events of `nodes` nodes in the log that is at `url`. */
export async function fill(
  url: string,
  events: number,
  nodes: number,
): Promise<{ ms: number; bytes: number }> {
  const nc = await connect({ servers: url });
  const js = jetstream(nc, { timeout: 60_000 });
  const start = performance.now();
  let bytes = 0;
  let count = 0;
  let window: Promise<unknown>[] = [];
  for (const draft of story(nodes)) {
    if (count === events) break;
    const payload = encode(draft, crypto.randomUUID());
    bytes += payload.length;
    window.push(js.publish(subjectOf(FABRIC, draft), payload));
    count++;
    if (window.length === WINDOW || count === events) {
      await Promise.all(window);
      window = [];
    }
  }
  await nc.close();
  return { ms: performance.now() - start, bytes };
}
