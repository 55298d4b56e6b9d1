// Whose change of a forwarding entry it was, on the real kernel: ours must not wake us, another's must.

import { describe, expect, test } from "bun:test";
import { Monitor } from "../../src/ffi/netlink/monitor.ts";
import { dev, fdb, hostOps, peerMac, scope, set } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

if (requireRoot("echoes of our own forwarding entries"))
  describe("watching forwarding entries", () => {
    const host = netlinkHost();

    interface Counter {
      told: number;
      close(): void;
    }

    function watched(): Counter {
      const counter = { told: 0, close: () => watch.close() };
      const watch = host.kernel.watch(() => counter.told++);
      return counter;
    }

    /** Told of everything, ours included: when it was told, the others could have been. */
    function unfiltered(): Counter {
      const monitor = new Monitor({
        netns: host.netns.path,
        ownPort: -1,
        interest: () => null,
        onDirty: () => counter.told++,
      });
      const counter = { told: 0, close: () => monitor.close() };
      return counter;
    }

    async function turns(counter: Counter, told: number): Promise<void> {
      while (counter.told < told) await new Promise(setImmediate);
      for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    }

    test("our own change is not told, to however many watchers; another's is, to all", async () => {
      await host.apply(...hostOps);
      await host.kernel.observe(scope);
      const all = unfiltered();
      const watchers = [watched(), watched()];
      try {
        await host.apply(set("fdb", fdb(dev, "198.18.0.77")));
        await turns(all, 1);
        expect(watchers.map(({ told }) => told)).toEqual([0, 0]);
        host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.78 self permanent`);
        await turns(all, 2);
        expect(watchers.map(({ told }) => told)).toEqual([1, 1]);
      } finally {
        for (const counter of [all, ...watchers]) counter.close();
      }
    });

    test("what another undoes after us is told although it names the same entry", async () => {
      await host.apply(...hostOps, set("fdb", fdb(dev, "198.18.0.77")));
      await host.kernel.observe(scope);
      const all = unfiltered();
      const watcher = watched();
      try {
        host.netns.bridge(`fdb del ${peerMac} dev ${dev} dst 198.18.0.77 self`);
        await turns(all, 1);
        expect(watcher.told).toBe(1);
      } finally {
        for (const counter of [all, watcher]) counter.close();
      }
    });
  });
