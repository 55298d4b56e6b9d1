// The loop on the real kernel: two namespaces as two hosts, each with its own loop over the same
// log. Containers are addresses on the loopback. What is asserted is read with ip and bridge.

import { afterAll, describe, expect, test } from "bun:test";
import { desired } from "../../src/reconcilers/desired.ts";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { createLoop, type Loop, type Round, type Wanted } from "../../src/reconcilers/loop.ts";
import { history } from "../support/history.ts";
import { joinByVeth, makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import { realClock } from "../support/real-clock.ts";

/** Generous, because the machine may be busy; healing takes some 20 ms on an idle one. */
const HEAL_MS_MAX = 10_000;
const DAMAGES = [
  "route del 10.5.2.0/24",
  "route replace 10.5.2.0/24 dev eth0 proto 104",
  "-6 route del fd00:5:0:2::/64",
  "route flush proto 104",
  "route add 10.5.77.0/24 dev eth0 proto 104",
  "neigh flush dev heddle.1 nud permanent",
  "addr del 10.5.1.0/32 dev heddle.1",
  "addr add 10.5.1.9/32 dev heddle.1",
  "link set heddle.1 down",
  "link set heddle.1 mtu 1400",
  "link set heddle.1 address 02:00:00:00:00:99",
  "link del heddle-v6.1",
  "link del heddle.1",
];
const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const clean of cleanups.reverse()) await clean();
});

interface Host {
  readonly netns: Netns;
  readonly loop: Loop;
  readonly rounds: Round[];
  want: Wanted;
}

function start(netns: Netns, want: Wanted): Host {
  const kernel = new NetlinkKernel({ netns: netns.path });
  const host: Host = {
    netns,
    rounds: [],
    want,
    loop: createLoop({
      kernel,
      clock: realClock,
      wanted: () => host.want,
      onRound: (round) => host.rounds.push(round),
    }),
  };
  cleanups.push(() => kernel.close());
  cleanups.push(() => host.loop.stop());
  return host;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = realClock.nowMs() + HEAL_MS_MAX;
  while (!condition()) {
    if (realClock.nowMs() > deadline) throw new Error(`not within ${HEAL_MS_MAX} ms: ${what}`);
    await new Promise<void>((resolve) => realClock.after(5, resolve));
  }
}

/** Everything of ours in a namespace, as iproute2 and nft tell it, in no order. */
function picture(netns: Netns): string {
  const objects = [
    netns.ip("-o addr show type vxlan").replace(/^\d+: /gm, ""),
    netns.ip("route show proto 104"),
    netns.ip("-6 route show proto 104"),
    netns.ip("neigh show proto 104"),
    netns.bridge("fdb show").replace(/^.*dev (?!heddle).*\n/gm, ""),
    netns.ip("-d -o link show type vxlan").replace(/^\d+: /gm, ""),
  ];
  const lines = objects.flatMap((text) => text.split("\n")).toSorted();
  return `${lines.join("\n")}\n${netns.exec(["nft", "-s", "list", "ruleset"])}`;
}

function pings(from: Netns, source: string, to: string): boolean {
  const child = from.enter(() =>
    Bun.spawnSync(["ping", "-c1", "-W1", "-I", source, to], { stdout: "ignore", stderr: "ignore" }),
  );
  return child.exitCode === 0;
}

function twoHosts(): { readonly h1: Host; readonly h2: Host } {
  const log = history("blue").config({
    Network: "10.5.0.0/16",
    EnableIPv6: true,
    IPv6Network: "fd00:5::/48",
  });
  log.join("h1", { ipMasq: true }).claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"]);
  log.join("h2").claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"]);
  const [a, b] = [makeNetns(), makeNetns()];
  cleanups.push(
    () => a[Symbol.dispose](),
    () => b[Symbol.dispose](),
  );
  joinByVeth(
    { netns: a, dev: "eth0", addresses: ["198.18.0.1/15", "2001:db8::1/64"] },
    { netns: b, dev: "eth0", addresses: ["198.18.0.2/15", "2001:db8::2/64"] },
  );
  a.ip("addr add 10.5.1.1/32 dev lo");
  a.ip("-6 addr add fd00:5:0:1::1/128 dev lo");
  b.ip("addr add 10.5.2.1/32 dev lo");
  b.ip("-6 addr add fd00:5:0:2::1/128 dev lo");
  return {
    h1: start(a, { plan: desired(log.state(), "h1"), prune: true }),
    h2: start(b, { plan: desired(log.state(), "h2"), prune: true }),
  };
}

/** One host of a fabric with this many. */
function fullHost(nodes: number): Host {
  const log = history("blue").config({ Network: "10.0.0.0/8", SubnetLen: 24 });
  for (let i = 1; i <= nodes; i++) {
    log.join(`h${i}`).claim(`h${i}`, [`10.${i >> 8}.${i & 255}.0/24`]);
  }
  const netns = makeNetns();
  cleanups.push(() => netns[Symbol.dispose]());
  netns.ip("link add eth0 type veth peer name eth9");
  netns.ip("addr add 198.18.0.1/15 dev eth0");
  netns.ip("link set eth9 up");
  netns.ip("link set eth0 up");
  return start(netns, { plan: desired(log.state(), "h1"), prune: true });
}

describe.skipIf(!requireRoot("loop on the real kernel"))("two hosts with a loop each", () => {
  test("reach each other in both families, and heal whatever is done to them", async () => {
    const { h1, h2 } = twoHosts();
    for (const { loop } of [h1, h2]) loop.wake();
    for (const { loop } of [h1, h2]) await loop.idle();
    expect(h1.rounds.at(-1)).toMatchObject({ clean: true, error: null, driftCount: 0 });
    expect([...(h1.rounds.at(-1)?.failures ?? [])]).toEqual([]);
    expect(pings(h1.netns, "10.5.1.1", "10.5.2.1")).toBe(true);
    expect(pings(h1.netns, "fd00:5:0:1::1", "fd00:5:0:2::1")).toBe(true);

    const { netns, rounds } = h1;
    const right = picture(netns);
    for (const damage of DAMAGES) {
      const before = rounds.length;
      netns.ip(damage);
      await until(`a round after ip ${damage}`, () => rounds.length > before);
      await until(`healed after ip ${damage}`, () => picture(netns) === right);
      await h1.loop.idle();
      const drift = rounds.slice(before).reduce((sum, round) => sum + round.driftCount, 0);
      expect([damage, drift > 0]).toEqual([damage, true]);
    }
    netns.exec(["nft", "flush", "table", "inet", "heddle_blue"]);
    await until("healed after nft flush", () => picture(netns) === right);
    expect(pings(netns, "10.5.1.1", "10.5.2.1")).toBe(true);
  });

  test("heal a full device in a few rounds, not in one per notification", async () => {
    const h1 = fullHost(350);
    const { netns } = h1;
    h1.loop.wake();
    await h1.loop.idle();
    const before = h1.rounds.length;
    netns.ip("link del heddle.1");
    await until("the device is back", () => h1.rounds.slice(before).some((r) => r.driftCount > 0));
    await h1.loop.idle();
    // A stranger's change that is told after all others: then all were drained.
    netns.ip("route add 192.0.2.0/24 dev eth0");
    await until("quiet", () => h1.rounds.at(-1)?.ops === 0);
    expect(netns.ipJson("route show proto 104")).toHaveLength(349);
    expect(h1.rounds.length - before).toBeLessThan(20);
  });

  test("leave foreign routes alone, and clear their own when nothing is wanted", async () => {
    const { h1 } = twoHosts();
    h1.netns.ip("route add 10.99.0.0/16 via 198.18.0.254 proto static");
    h1.loop.wake();
    await h1.loop.idle();
    expect(h1.netns.ipJson("route show proto 104")).toHaveLength(1);
    const nobody = desired(history("blue").config({ Network: "10.5.0.0/16" }).state(), "h1");
    h1.want = { plan: nobody, prune: true };
    h1.loop.wake();
    await h1.loop.idle();
    expect(picture(h1.netns).trim()).toBe("");
    expect(h1.netns.ipJson("route show proto static")).toHaveLength(1);
  });
});
