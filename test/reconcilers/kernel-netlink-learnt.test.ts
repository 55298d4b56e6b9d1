// A busy segment must not keep the agent busy: what the kernel learns by itself wakes nobody, what
// somebody else changes does. A monitor of its own, which leaves nothing out, tells when the
// notification has come.

import { expect, test } from "bun:test";
import { RTM_DELNEIGH, RTM_NEWNEIGH } from "../../src/ffi/netlink/constants.ts";
import { Monitor } from "../../src/ffi/netlink/monitor.ts";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { ANY_MAC, type Link } from "../../src/reconcilers/kernel-state.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { dev, fdb, link, neigh, peerMac, scope, set } from "../support/kernel-objects.ts";
import { until } from "../support/kernel-under-test.ts";
import { joinByVeth, makeNetns, type Netns, requireRoot } from "../support/netns.ts";

const LEARNT = "02:00:00:00:07:07";
const learning: Link = { ...link, learning: true };
const build: Op[] = [
  set("link", learning),
  set("fdb", fdb(dev, "198.18.0.2", ANY_MAC)),
  set("fdb", fdb(dev, "198.18.0.2")),
  set("neigh", neigh(dev, "10.5.2.0")),
];

async function watched(work: (netns: Netns, wakesFor: Wakes) => Promise<void>): Promise<void> {
  using netns = makeNetns();
  const [eth0, far0] = [
    { netns, dev: "eth0", addresses: ["198.18.0.1/24"] },
    { netns, dev: "far0", addresses: [] },
  ];
  joinByVeth(eth0, far0);
  netns.ip("link add br0 type bridge");
  netns.ip("link set br0 up");
  const kernel = new NetlinkKernel({ netns: netns.path });
  let [heard, all] = [0, 0];
  const monitor = new Monitor({
    ...{ netns: netns.path, ownPort: -1, interest: () => null, onDirty: () => undefined },
    expected: ({ type }) => {
      if (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) all += 1;
      return true;
    },
  });
  try {
    await kernel.apply(build);
    netns.ip(`link set ${dev} master br0`);
    await kernel.observe(scope);
    const watch = kernel.watch(() => {
      heard += 1;
    });
    await work(netns, async (change) => {
      const [before, allBefore] = [heard, all];
      change();
      await until(() => all > allBefore);
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      return heard > before;
    });
    watch.close();
  } finally {
    monitor.close();
    kernel.close();
  }
}

/** True when the kernel that has looked was woken by the change. */
type Wakes = (change: () => void) => Promise<boolean>;

if (requireRoot("notifications of a learning device")) {
  test("what a device learns, ages out and resolves by itself wakes nobody", () =>
    watched(async (netns, wakesFor) => {
      const learnt = `${LEARNT} dev ${dev} dst 198.18.0.3 self`;
      expect(await wakesFor(() => netns.bridge(`fdb add ${learnt} dynamic`))).toBe(false);
      expect(await wakesFor(() => netns.bridge(`fdb del ${learnt}`))).toBe(false);
      const found = `10.5.9.9 lladdr ${LEARNT} dev ${dev}`;
      expect(await wakesFor(() => netns.ip(`neigh add ${found} nud reachable`))).toBe(false);
      expect(await wakesFor(() => netns.ip(`neigh del 10.5.9.9 dev ${dev}`))).toBe(false);
      expect(
        await wakesFor(() => netns.bridge(`fdb add ${LEARNT} dev ${dev} master dynamic`)),
      ).toBe(false);
    }));

  test("what somebody does to configured entries wakes, whatever it makes of them", () =>
    watched(async (netns, wakesFor) => {
      for (const change of [
        () => netns.bridge(`fdb append ${ANY_MAC} dev ${dev} dst 198.18.0.2 self dynamic`),
        () => netns.bridge(`fdb del ${ANY_MAC} dev ${dev} dst 198.18.0.2 self`),
        () => netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.9 self dynamic`),
        () => netns.bridge(`fdb add ${LEARNT} dev ${dev} dst 198.18.0.3 self permanent`),
        () => netns.ip(`neigh replace 10.5.2.0 lladdr ${LEARNT} dev ${dev} nud reachable`),
        () => netns.ip(`neigh del 10.5.2.0 dev ${dev}`),
      ]) {
        expect(await wakesFor(change)).toBe(true);
      }
    }));
}
