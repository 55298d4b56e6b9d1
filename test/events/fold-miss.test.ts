// Which entries a host holds on demand, as the log tells it.

import { describe, expect, test } from "bun:test";
import { encode } from "../../src/events/codec.ts";
import { eventVersion } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/events/snapshot.ts";
import { type History, history } from "../support/history.ts";

const [A, B, C] = ["10.5.1.0/24", "10.5.2.0/24", "10.5.3.0/24"] as const;
const V4 = { Network: "10.5.0.0/16" };
const ON_MISS = { ...V4, Backend: { Type: "vxlan", Mode: "on-miss" } };

function fabric(config: object = ON_MISS): History {
  const log = history("t", "h1").config(config).join("h1").claim("h1", [A]).join("h2");
  return log.claim("h2", [B]).join("h3").claim("h3", [C]).peer("lb", "172.30.1.0/24", "192.0.2.9");
}

function missed(log: History, ...subnets: string[]): History {
  const answered = subnets.map((subnet) => ({ subnet, peer: "h2", waitedUs: 80 }));
  const data = { node: "h1", answered, unknown: [], suppressed: 0 };
  return log.append({ type: "NeighborMissed", data });
}

const held = (log: History): readonly string[] => [...log.state().held.subnets];

describe("entries held on demand", () => {
  test("come with a miss, the last one asked for last, and go when they aged", () => {
    const log = missed(missed(fabric(), C, B), C, "172.30.1.0/24");
    expect(held(log)).toEqual([B, C, "172.30.1.0/24"]);
    log.append({ type: "NeighborAged", data: { node: "h1", subnets: [B, "10.5.77.0/24"] } });
    expect(held(log)).toEqual([C, "172.30.1.0/24"]);
  });

  test("are only of subnets that somebody else has, so that they are never more than those", () => {
    expect(held(missed(fabric(), A, "10.5.77.0/24", "172.30.0.0/16", B))).toEqual([B]);
  });

  test("end with the lease or the peer, and do not come back with the next holder", () => {
    const log = missed(fabric(), B, C, "172.30.1.0/24");
    log.leave("h3").removePeer("lb");
    expect(held(log)).toEqual([B]);
    log.join("h4").claim("h4", [C]).peer("lb", "172.30.1.0/24", "192.0.2.9");
    expect(held(log)).toEqual([B]);
    log.append({ type: "LeaseRevoked", data: { subnet: B, note: "" } });
    expect(held(log)).toEqual([]);
  });

  test("are those of the one node that the reader follows", () => {
    const log = fabric();
    const answered = [{ subnet: C, peer: "h3", waitedUs: 1 }];
    const data = { node: "h2", answered, unknown: [], suppressed: 0 };
    log.append({ type: "NeighborMissed", data });
    expect(held(log)).toEqual([]);
  });

  test("are all when a proactive fabric goes on demand, and none when it goes back", () => {
    const log = fabric(V4).config(ON_MISS);
    expect(held(log)).toEqual([B, C, "172.30.1.0/24"]);
    const hybrid = { ...V4, Backend: { Type: "vxlan", Mode: "hybrid", HotPeers: 3 } };
    log.append({ type: "NeighborAged", data: { node: "h1", subnets: [C] } }).config(hybrid);
    expect(held(log)).toEqual([B, "172.30.1.0/24"]);
    expect(held(log.config(V4))).toEqual([]);
    expect(held(fabric({ ...V4, Backend: { Type: "host-gw" } }).config(ON_MISS))).toEqual([]);
  });

  test("are no change for any host, and outlast a restart in the snapshot", () => {
    const log = fabric();
    const { changedSeq } = log.state();
    missed(log, B, C);
    expect(log.state().changedSeq).toBe(changedSeq);
    const position = { created: "c", seq: log.state().seq, chain: "00", tip: "00" };
    const decoded = decodeSnapshot("t", encodeSnapshot({ position, state: log.state() }));
    expect(decoded.ok && decoded.snapshot.state.held).toEqual(log.state().held);
  });
});

test("who is not a member has not missed anybody", () => {
  const log = fabric().leave("h2");
  const data = { node: "h2", subnets: [C] };
  log.append({ type: "NeighborAged", data }, "void");
});

test("nobody speaks for the misses of another host", () => {
  const log = fabric();
  const state = structuredClone(log.state());
  const data = { node: "h1", answered: [], unknown: [], suppressed: 1 };
  const payload = encode({ type: "NeighborMissed", data }, "x");
  const record = { seq: state.seq + 1, timeMs: 0, subject: "heddle.t.node.h2.miss", payload };
  expect(fold(state, record).verdict.kind).toBe("quarantined");
  expect(eventVersion.NeighborMissed).toBe(1);
});
