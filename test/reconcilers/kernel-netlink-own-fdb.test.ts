// Whose change of a forwarding entry it was, judged by the notifications of the real kernel.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { AF_BRIDGE, RTM_DELNEIGH, RTM_NEWNEIGH } from "../../src/ffi/netlink/constants.ts";
import type { Frame } from "../../src/ffi/netlink/header.ts";
import { Monitor } from "../../src/ffi/netlink/monitor.ts";
import { ndmsg } from "../../src/ffi/netlink/neigh.ts";
import { OwnFdb } from "../../src/reconcilers/kernel-netlink-own-fdb.ts";
import { dev, fdb, hostOps, peerMac, set } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

if (requireRoot("echoes of our own forwarding entries"))
  describe("a notification of a forwarding entry", () => {
    const host = netlinkHost();
    let own: OwnFdb;
    let verdicts: string[];
    let monitor: Monitor;

    beforeEach(async () => {
      await host.apply(...hostOps);
      own = new OwnFdb();
      verdicts = [];
      const { path } = host.netns;
      const options = { netns: path, ownPort: -1, interest: () => null, onDirty: () => undefined };
      monitor = new Monitor({ ...options, expected: judge });
    });
    afterEach(() => monitor.close());

    function judge(frame: Frame): boolean {
      const isNeigh = frame.type === RTM_NEWNEIGH || frame.type === RTM_DELNEIGH;
      if (!isNeigh || ndmsg.read(frame.input, frame.at, frame.end).family !== AF_BRIDGE)
        return true;
      verdicts.push(own.isEcho(frame) ? "ours" : "another's");
      return true;
    }

    async function judged(count: number): Promise<string[]> {
      while (verdicts.length < count) await new Promise(setImmediate);
      return verdicts;
    }

    const index = (): number => Number(host.netns.ipJson(`link show ${dev}`)[0]?.ifindex);
    const entry = fdb(dev, "198.18.0.77");

    test("is ours when it says what we last asked for, however often it is asked", async () => {
      own.expect("set", entry, index());
      await host.apply(set("fdb", entry));
      expect(await judged(1)).toEqual(["ours"]);
    });

    test("is another's when it names another remote", async () => {
      own.expect("set", entry, index());
      host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.78 self permanent`);
      expect(await judged(1)).toEqual(["another's"]);
    });

    test("is another's when what we set is removed again", async () => {
      own.expect("set", entry, index());
      await host.apply(set("fdb", entry));
      await judged(1);
      host.netns.bridge(`fdb del ${peerMac} dev ${dev} dst ${entry.dst} self`);
      expect(await judged(2)).toEqual(["ours", "another's"]);
    });
  });
