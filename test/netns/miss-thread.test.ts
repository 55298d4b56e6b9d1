// Entries on demand on the real kernel, the thread that answers: it needs no turn of the event
// loop, what it did is known before anything is removed, and it keeps still while entries go.

import { afterEach, describe, expect, test } from "bun:test";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import type { Answer } from "../../src/reconcilers/miss.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { Everyone, numbers } from "../support/everyone.ts";
import { until } from "../support/fabric.ts";
import { dev, fdb, hostOps, neigh, route, set } from "../support/kernel-objects.ts";
import { joinByVeth, makeNetns, requireRoot } from "../support/netns.ts";

const config = {
  Network: "10.0.0.0/8",
  SubnetLen: 24,
  Backend: { Type: "vxlan", Mode: "on-miss" },
};
const LIMIT_MS = 30_000;
const root = requireRoot("the answering thread");

let open: Everyone | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

/** The kernel keeps a thousand neighbours on the link: more peers must be `beyond` it. */
async function given(peers: number, beyond = false, idleMs?: number): Promise<Everyone> {
  open = new Everyone({ config, ...(idleMs === undefined ? {} : { idleMs }) });
  open.peers.ip("route add local 203.0.0.0/16 dev lo table main");
  await open.populate(beyond ? 0 : peers);
  for (let i = 2; beyond && i <= peers + 1; i++) {
    await open.join(i, i, { publicIp: `203.0.${i >> 8}.${i & 255}` });
  }
  const agent = await open.start();
  open.attach();
  await until("answers are prepared", 4000, () => agent.status().misses?.path?.by === "thread");
  return open;
}

/** Datagrams to each address in turn, for `forMs`, whatever became of earlier ones. */
function sender(addresses: readonly string[], forMs: number): string[] {
  const script = `const { dlopen } = await import("bun:ffi");
    const { socket, sendto } = dlopen("libc.so.6", {
      socket: { args: ["i32", "i32", "i32"], returns: "i32" },
      sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64_fast" },
    }).symbols;
    const [fd, data, end] = [socket(2, 2, 0), new Uint8Array(1), Date.now() + ${forMs}];
    const all = ${JSON.stringify(addresses)}.map((ip) =>
      new Uint8Array([2, 0, 0, 9, ...ip.split(".").map(Number), 0, 0, 0, 0, 0, 0, 0, 0]));
    while (Date.now() < end) for (const to of all) sendto(fd, data, 1, 0x40, to, 16);`;
  return [process.execPath, "-e", script];
}

function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

describe.skipIf(!root)("the answering thread", () => {
  test("a first packet arrives while the event loop is busy; the log has it later", async () => {
    const it = await given(6);
    const pings = numbers(2, 6).map((i) => it.ping("-c1", "-W1", it.address(i)));
    block(1500);
    for (const out of await Promise.all(pings)) expect(out).toContain(" 1 received");
    await until("the log tells of all", 8000, () => it.state().held.subnets.size === 5);
    expect(it.told()).toEqual(it.entries());
    expect(it.agent.status().misses).toMatchObject({ held: 5, answered: 5 });
    expect(it.drift).toEqual([]);
  });

  test("what the kernel shows before the thread tells of it has its wait in the log", async () => {
    const it = await given(6, false, 8000);
    const pings: Promise<string>[] = [];
    // Between the beginning of a turn and its look at the kernel.
    it.onLook = () => {
      it.onLook = () => undefined;
      pings.push(...numbers(2, 6).map((i) => it.ping("-c1", "-W1", it.address(i))));
      while (it.entries().neighs.length < 5);
    };
    await until("it has looked", 4000, () => pings.length > 0);
    for (const out of await Promise.all(pings)) expect(out).toContain(" 1 received");
    await until("the log tells of all", 8000, () => it.state().held.subnets.size === 5);
    const answered = it.events("NeighborMissed").flatMap(({ data }) => data.answered);
    expect(answered.map(({ waitedUs }) => waitedUs)).toEqual(Array(5).fill(expect.any(Number)));
  });

  test("an answer is nobody else's change: nothing has to be looked at", async () => {
    const it = await given(40);
    expect(await it.pingEach([it.address(2)])).toBe(1);
    const { rounds } = it;
    expect(await it.pingEach(numbers(3, 41).map((i) => it.address(i)))).toBe(39);
    await until("the log tells of all", 8000, () => it.state().held.subnets.size === 40);
    // Link-local addresses get ready meanwhile, which is a change.
    expect(it.rounds).toBeLessThanOrEqual(rounds + 3);
  });

  test("more answers than it can note are found in the kernel, none a stranger's", async () => {
    const it = await given(4300, true);
    const { gaps } = it;
    const addresses = numbers(2, 4301).map((i) => it.address(i));
    const sending = it.container.spawn(sender(addresses, LIMIT_MS));
    // Without a turn of the event loop.
    while (it.entries().neighs.length < 4200) expect(sending.exitCode).toBe(null);
    await until("all are held", 8000, () => it.agent.status().misses?.held === 4300);
    sending.kill("SIGKILL");
    await sending.exited;
    expect(it.gaps).toBeGreaterThan(gaps);
    await it.join(4400, 4400);
    await until("a round", 8000, () => it.host.ip("route show 10.22.48.0/24") !== "");
    expect(it.entries().neighs).toHaveLength(4300);
    expect(it.drift).toEqual([]);
  });

  test("a peer that is asked for while its entries are removed has both or none", async () => {
    const [netns, far] = [makeNetns(), makeNetns()];
    const kernel = new NetlinkKernel({ netns: netns.path });
    try {
      joinByVeth(
        { netns, dev: "eth0", addresses: ["198.18.0.1/24", "2001:db8::1/64"] },
        { netns: far, dev: "eth0", addresses: ["198.18.0.254/24"] },
      );
      netns.ip("route add default via 198.18.0.254");
      const asking = (name: string, value: string) =>
        set("sysctl", { path: `net/ipv4/neigh/${dev}/${name}`, value });
      const peers = numbers(10, 109).map((i) => ({
        ip: `10.5.${i}.0`,
        mac: `02:00:00:00:07:${i.toString(16).padStart(2, "0")}`,
        dst: `203.0.113.${i}`,
      }));
      const ops: Op[] = [
        ...[...hostOps, asking("app_solicit", "3"), asking("mcast_solicit", "0")],
        ...peers.map(({ ip }) => set("route", route(dev, `${ip}/24`, ip))),
      ];
      for (const outcome of await kernel.apply(ops)) expect(outcome).toEqual({ ok: true });
      const misses = kernel.misses();
      const both = ({ ip, mac, dst }: (typeof peers)[number]): Answer[] => [
        set("fdb", fdb(dev, dst, mac)) as Answer,
        set("neigh", neigh(dev, ip, mac)) as Answer,
      ];
      const watch = misses.watchMisses({
        onMiss: ({ ip }) => {
          const peer = peers.find((each) => each.ip === ip);
          if (peer !== undefined) misses.answer(both(peer));
        },
        onAnswered: () => undefined,
        onGap: () => undefined,
      });
      watch.prepare(peers.map(({ ip, mac, dst }) => ({ ip, to: { mac, dst } })));
      watch.serve([dev]);
      const flood = netns.spawn(
        sender(
          peers.map(({ ip }) => ip.replace(/0$/, "9")),
          3000,
        ),
      );
      const removals = peers.flatMap((peer) =>
        both(peer).map((op) => ({ ...op, verb: "del", found: op.object }) as Op),
      );
      removals.sort((a, b) => b.noun.localeCompare(a.noun));
      while (flood.exitCode === null) {
        await kernel.apply(removals);
        // In this order: what comes between the two looks has its forwarding entry first.
        const rows = netns.ipJson(`neigh show dev ${dev} nud permanent`);
        const macs = new Set(netns.bridgeJson("fdb show").map(({ mac }) => mac));
        const astray = rows.filter(({ lladdr }) => !macs.has(lladdr)).map(({ dst }) => dst);
        expect(astray).toEqual([]);
        await new Promise(setImmediate);
      }
      watch.close();
    } finally {
      kernel.close();
      for (const each of [netns, far]) each[Symbol.dispose]();
    }
  });
});
