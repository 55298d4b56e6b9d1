// Whose change it was, judged by the notifications of the real kernel that nobody signed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { inputOf } from "../../src/ffi/layout.ts";
import {
  AF_BRIDGE,
  NTF_SELF,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from "../../src/ffi/netlink/constants.ts";
import type { Frame } from "../../src/ffi/netlink/header.ts";
import { Monitor } from "../../src/ffi/netlink/monitor.ts";
import { ndmsg, neigh as neighMessage } from "../../src/ffi/netlink/neigh.ts";
import type { BatchOp } from "../../src/reconcilers/kernel-netlink-batch.ts";
import { Echoes, isRepetition } from "../../src/reconcilers/kernel-netlink-echo.ts";
import { macToBytes } from "../../src/reconcilers/kernel-netlink-text.ts";
import { del, dev, fdb, hostOps, neigh, peerMac, set } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

/** What rtnetlink of Linux 6.1 says beside vxlan's own `198.18.0.77 self permanent`. */
function repetition(attrs: Parameters<typeof neighMessage.encode>[1]): Frame {
  const header = { family: AF_BRIDGE, index: 7, state: NUD_PERMANENT, flags: NTF_SELF };
  const payload = neighMessage.encode(header, attrs);
  const span = { input: inputOf(payload), at: 0, end: payload.length };
  return { ...span, type: RTM_NEWNEIGH, flags: 0, seq: 0, pid: 0 };
}

test("a forwarding entry told without its last use is rtnetlink's repetition", () => {
  const lladdr = { NDA_LLADDR: macToBytes(peerMac) };
  expect(isRepetition(repetition(lladdr))).toBe(true);
  const told = { ...lladdr, NDA_CACHEINFO: new Uint8Array(16) };
  expect(isRepetition(repetition(told))).toBe(false);
});

if (requireRoot("echoes of our own changes"))
  describe("an unsigned notification", () => {
    const host = netlinkHost();
    let echoes: Echoes;
    let verdicts: string[];
    let monitor: Monitor;

    beforeEach(async () => {
      await host.apply(...hostOps, set("neigh", neigh(dev, "10.5.99.0")));
      echoes = new Echoes();
      verdicts = [];
      const { path } = host.netns;
      const options = { netns: path, ownPort: -1, interest: () => null, onDirty: () => undefined };
      monitor = new Monitor({ ...options, expected: judge });
    });
    afterEach(() => monitor.close());

    function judge(frame: Frame): boolean {
      if (frame.type !== RTM_NEWNEIGH && frame.type !== RTM_DELNEIGH) return true;
      if (isRepetition(frame)) return true;
      const { family } = ndmsg.read(frame.input, frame.at, frame.end);
      // Of neighbours the kernel leaves only the second removal unsigned.
      if (family !== AF_BRIDGE && (frame.pid !== 0 || frame.type !== RTM_DELNEIGH)) return true;
      verdicts.push(echoes.isEcho(frame) ? "ours" : "another's");
      return true;
    }

    async function judged(count: number): Promise<string[]> {
      while (verdicts.length < count) await new Promise(setImmediate);
      return verdicts;
    }

    function expectEcho(op: BatchOp): void {
      echoes.expect(op, Number(host.netns.ipJson(`link show ${dev}`)[0]?.ifindex));
    }

    const entry = set("fdb", fdb(dev, "198.18.0.77")) as BatchOp;

    test("of a forwarding entry is ours when it says what we last asked for", async () => {
      expectEcho(entry);
      await host.apply(entry);
      expect(await judged(1)).toEqual(["ours"]);
    });

    test("of a forwarding entry is another's when it names another remote", async () => {
      expectEcho(entry);
      host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.78 self permanent`);
      expect(await judged(1)).toEqual(["another's"]);
    });

    for (const how of ["dynamic", "permanent port 4789", "permanent vni 77"]) {
      test(`of a forwarding entry is another's when it is ${how}`, async () => {
        expectEcho(entry);
        host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.77 self ${how}`);
        expect(await judged(1)).toEqual(["another's"]);
      });
    }

    test("of a forwarding entry is another's when what we set is removed again", async () => {
      expectEcho(entry);
      await host.apply(entry);
      await judged(1);
      host.netns.bridge(`fdb del ${peerMac} dev ${dev} dst 198.18.0.77 self`);
      expect(await judged(2)).toEqual(["ours", "another's"]);
    });

    test("of a forwarding entry is another's when it says what we asked for before", async () => {
      const first = set("fdb", fdb(dev, "198.18.0.78")) as BatchOp;
      for (const op of [first, entry]) {
        expectEcho(op);
        await host.apply(op);
      }
      await judged(2);
      host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.78 self permanent`);
      const removal = del("fdb", fdb(dev, "198.18.0.78")) as BatchOp;
      await judged(3);
      expectEcho(removal);
      await host.apply(removal);
      await judged(4);
      host.netns.bridge(`fdb add ${peerMac} dev ${dev} dst 198.18.0.78 self permanent`);
      expect((await judged(5)).slice(1)).toEqual(["ours", "another's", "ours", "another's"]);
    });

    test("of a neighbour's removal is ours when we removed it, else another's", async () => {
      const removal = del("neigh", neigh(dev, "10.5.2.0")) as BatchOp;
      expectEcho(removal);
      await host.apply(removal);
      expect(await judged(1)).toEqual(["ours"]);
      host.netns.ip(`neigh del 10.5.99.0 dev ${dev}`);
      expect(await judged(2)).toEqual(["ours", "another's"]);
    });
  });
