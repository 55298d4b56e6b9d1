// Answers prepared for the thread: the same that the event loop would give, and only what changed.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { PreparedAnswers } from "../../src/agent/prepared-answers.ts";
import { networkAddress } from "../../src/events/address.ts";
import type { FabricState } from "../../src/events/state.ts";
import { answerFor } from "../../src/reconcilers/desired-vxlan-miss.ts";
import { deviceName } from "../../src/reconcilers/link.ts";
import { defaultMember, type History, history } from "../support/history.ts";

const SELF = "h1";
const NODES = ["h1", "h2", "h3", "h4"];
const config = {
  ...{ Network: "10.5.0.0/16", EnableIPv6: true, IPv6Network: "fd00:5::/48" },
  Backend: { Type: "vxlan", Mode: "on-miss" },
};

type Step = readonly [what: "join" | "leave" | "move" | "add" | "remove", at: number];

/** Steps that the fold refuses change nothing. */
function attempt(log: History, step: Step): void {
  try {
    take(log, step);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

function take(log: History, [what, at]: Step): void {
  const node = NODES[at % NODES.length] ?? SELF;
  const member = defaultMember("t", node);
  if (what === "join") {
    log.append({ type: "NodeJoined", data: member });
    const subnets = [`10.5.${at + 1}.0/24`, `fd00:5:0:${at + 1}::/64`];
    const epoch = (log.state().nodes.get(node)?.epoch ?? 0) + 1;
    log.append({ type: "LeaseClaimed", data: { node, epoch, subnets, ttlSeconds: 600 } });
  } else if (what === "leave") {
    log.append({ type: "NodeLeft", data: { node, reason: "over" } });
  } else if (what === "move") {
    const moved = { publicIp: at % 2 === 0 ? null : `198.18.9.${at}`, vtepMac: null };
    log.append({ type: "NodeUpdated", data: { ...member, ...moved } });
  } else if (what === "add") {
    log.peer(
      `p${at}`,
      `10.5.${100 + at}.0/24`,
      "203.0.113.7",
      at % 2 === 0 ? null : "02:00:00:00:00:07",
    );
  } else {
    log.append({ type: "PeerRemoved", data: { name: `p${at}` } });
  }
}

/** What the event loop would answer for every gateway there can be. */
function answers(state: Readonly<FabricState>): Map<string, string> {
  const found = new Map<string, string>();
  const foreign = Array.from(state.peers.values(), ({ subnet }) => subnet);
  for (const subnet of [...state.owners.keys(), ...foreign]) {
    const ip = networkAddress(subnet);
    const dev = deviceName(1, ip.includes(":") ? "ipv6" : "ipv4");
    const answer = answerFor(state, SELF, dev, ip);
    if (answer !== null) found.set(ip, `${answer.fdb.mac} ${answer.fdb.dst}`);
  }
  return found;
}

const steps = fc.array(
  fc.tuple(fc.constantFrom("join", "leave", "move", "add", "remove"), fc.nat({ max: 7 })),
  { maxLength: 20 },
);

test("what is prepared is what the event loop would answer, after every change", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const log = history("t").config(config);
      const prepared = new PreparedAnswers();
      const table = new Map<string, string>();
      for (const step of all) {
        attempt(log, step as Step);
        const state = log.state();
        for (const { ip, to } of prepared.changes(state, SELF)) {
          if (to === null) table.delete(ip);
          else table.set(ip, `${to.mac} ${to.dst}`);
        }
        expect(table).toEqual(answers(state));
        expect(prepared.changes(state, SELF)).toEqual([]);
      }
    }),
    { numRuns: 200 },
  );
});

test("one peer more is its own rows and no others", () => {
  const log = history("t").config(config);
  for (let i = 1; i <= 3; i++) take(log, ["join", i]);
  const prepared = new PreparedAnswers();
  expect(prepared.changes(log.state(), SELF).length).toBe(6);
  take(log, ["add", 5]);
  expect(prepared.changes(log.state(), SELF)).toEqual([
    { ip: "10.5.105.0", to: { mac: "02:00:00:00:00:07", dst: "203.0.113.7" } },
  ]);
});
