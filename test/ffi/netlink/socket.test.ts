// The request socket and the monitor against the real kernel.

import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import {
  AF_INET,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from "../../../src/ffi/netlink/constants.ts";
import { NetlinkError } from "../../../src/ffi/netlink/error.ts";
import { link } from "../../../src/ffi/netlink/link.ts";
import { Monitor } from "../../../src/ffi/netlink/monitor.ts";
import { neigh } from "../../../src/ffi/netlink/neigh.ts";
import { route } from "../../../src/ffi/netlink/route.ts";
import { CHUNK, NetlinkSocket, type Request } from "../../../src/ffi/netlink/socket.ts";
import { until } from "../../support/kernel-under-test.ts";
import { joinByVeth, makeNetns, requireRoot } from "../../support/netns.ts";

function host() {
  const netns = makeNetns();
  joinByVeth(
    { netns, dev: "eth0", addresses: ["198.18.0.1/15"] },
    { netns, dev: "far0", addresses: [] },
  );
  const [eth0] = netns.ipJson("link show eth0");
  return { netns, index: Number(eth0?.ifindex) };
}

/** A port id that no socket has; 0 would be the kernel itself. */
const NOBODY = 0xffffffff;

const neighbour = (index: number, i: number, mac = Uint8Array.of(2, 0, 0, 0, 0, 1)): Request => ({
  type: RTM_NEWNEIGH,
  flags: NLM_F_CREATE,
  payload: neigh.encode(
    { family: AF_INET, index, state: 0x80 },
    { NDA_DST: Uint8Array.of(198, 18, 1 + (i >> 8), i & 255), NDA_LLADDR: mac },
  ),
});

function openSockets(): readonly string[] {
  // The descriptor that reads the folder is gone by now.
  const links = readdirSync("/proc/self/fd").map((fd) => linkText(fd) ?? "");
  return links.filter((text) => text.startsWith("socket:"));
}

function linkText(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

const unreachable: Request = {
  type: RTM_NEWROUTE,
  flags: NLM_F_CREATE,
  payload: route.encode(
    { family: AF_INET, dst_len: 24, table: 254, protocol: 104, type: 1 },
    { RTA_DST: Uint8Array.of(10, 6, 0, 0), RTA_GATEWAY: Uint8Array.of(192, 0, 2, 1) },
  ),
};

if (requireRoot("netlink sockets")) {
  describe("transact", () => {
    test("reports exactly the failing ones of a mixed batch, across chunks", async () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const count = CHUNK * 2 + 77;
      const bad = (i: number) => i % 10 === 0 || i === count - 1;
      const requests = Array.from({ length: count }, (_, i) =>
        bad(i) ? unreachable : neighbour(index, i),
      );
      const results = await socket.transact(requests);
      expect(results.map((error) => error?.errno ?? 0)).toEqual(
        requests.map((_, i) => (bad(i) ? 101 : 0)),
      );
      expect(results[0]).toBeInstanceOf(NetlinkError);
      expect(results[0]?.extack).toBe("Nexthop has invalid gateway");
      const good = requests.filter((_, i) => !bad(i)).length;
      expect(netns.ipJson("neigh show dev eth0 nud permanent").length).toBe(good);
      socket.close();
    });

    test("says ENOBUFS of requests whose replies were lost, and works on", async () => {
      const { netns } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE, 4096));
      const results = await socket.transact(Array.from({ length: 64 }, () => unreachable));
      const errnos = results.map((error) => error?.errno);
      expect(errnos[0]).toBe(101);
      expect(errnos.at(-1)).toBe(105);
      expect(errnos.every((errno) => errno === 101 || errno === 105)).toBe(true);
      const names = socket.dump(
        { type: RTM_GETLINK, flags: 0, payload: link.encode({}, {}) },
        (frame) => link.read(frame).attrs.IFLA_IFNAME ?? null,
      );
      expect(names.sort()).toEqual(["eth0", "far0", "lo"]);
      socket.close();
    });

    test("an acknowledgement of an earlier request does not stand for this one's", () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      // The kernel acknowledges whatever asks for it; nobody reads this one.
      const asked = { ...neighbour(index, 1), flags: NLM_F_CREATE | NLM_F_ACK };
      const results = socket.transactNow([asked, unreachable]);
      expect(results.map((error) => error?.errno ?? 0)).toEqual([0, 101]);
      expect(netns.ipJson("neigh show dev eth0 nud permanent").length).toBe(1);
      socket.close();
    });

    test("a refusal without words, as long as an acknowledgement, is none", () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const again = { ...neighbour(index, 1), flags: NLM_F_CREATE | NLM_F_EXCL };
      expect(socket.transactNow([neighbour(index, 1)])).toEqual([null]);
      const [error] = socket.transactNow([again]);
      expect([error?.errno, error?.extack]).toEqual([17, null]);
      socket.close();
    });

    test("what is wrong is told in the kernel's words, with the offset of the attribute", () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const [error] = socket.transactNow([neighbour(index, 1, Uint8Array.of(2, 0))]);
      expect([error?.errno, error?.extack]).toEqual([22, "Invalid link address"]);
      const payload = link.encode({ index }, { IFLA_ADDRESS: undefined, "#4": Uint8Array.of(1) });
      const [short] = socket.transactNow([{ type: RTM_NEWLINK, flags: 0, payload }]);
      // nlmsghdr and ifinfomsg are 16 bytes each: the attribute starts right after them.
      expect([short?.errno, short?.offset]).toEqual([34, 32]);
      socket.close();
    });
  });

  describe("a dump", () => {
    const all: Request = { type: RTM_GETLINK, flags: 0, payload: link.encode({}, {}) };
    const first: Request = { ...all, payload: link.encode({ index: 1 }, {}) };

    test("refuses a request from its decoder, which would take the rest of it", () => {
      const { netns } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const nested = () => socket.dump(all, () => socket.get(first));
      expect(nested).toThrow(`RTM ${RTM_GETLINK}: a request while a dump is read`);
      const names = socket.dump(all, (frame) => link.read(frame).attrs.IFLA_IFNAME ?? null);
      expect(names.sort()).toEqual(["eth0", "far0", "lo"]);
      expect(link.read(socket.get(first)).attrs.IFLA_IFNAME).toBe("lo");
      socket.close();
    });
  });

  describe("monitor", () => {
    test("that hears only one of its two sockets leaves none open", async () => {
      const { netns } = host();
      using _ = netns;
      const before = openSockets();
      const paths = [netns.path, "/nonexistent"];
      const half = {
        get netns() {
          return paths.shift() ?? null;
        },
        ownPort: NOBODY,
        interest: () => null,
        onDirty: () => undefined,
      };
      expect(() => new Monitor(half)).toThrow("open /nonexistent: errno 2");
      expect(paths).toEqual([]);
      await until(() => openSockets().every((each) => before.includes(each)));
    });

    test("tells of lost notifications and goes on listening", async () => {
      const { netns, index } = host();
      using _ = netns;
      let wakes = 0;
      const monitor = new Monitor({
        netns: netns.path,
        ownPort: NOBODY,
        interest: () => null,
        onDirty: () => {
          wakes += 1;
        },
        receiveBuffer: 4096,
      });
      // All of it happens inside send(2), long before the event loop can read anything.
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      for (const error of await socket.transact(
        Array.from({ length: 200 }, (_, i) => neighbour(index, i)),
      )) {
        expect(error).toBeNull();
      }
      await until(() => wakes > 0);
      for (let round = 0; round < 3; round += 1) {
        const before = wakes;
        netns.ip(`link set far0 mtu ${1400 + round}`);
        await until(() => wakes > before);
      }
      monitor.close();
      socket.close();
    });

    test("keeps its buffer free of what our own socket did", async () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const woken: string[] = [];
      const small = { interest: () => null, receiveBuffer: 4096, netns: netns.path };
      const listen = (ownPort: number, name: string) =>
        new Monitor({ ...small, ownPort, onDirty: () => woken.push(name) });
      const quiet = listen(socket.port, "quiet");
      const fence = listen(NOBODY, "fence");
      // More than fits: who is to read them loses some, and hears of that.
      socket.transactNow(Array.from({ length: 200 }, (_, i) => neighbour(index, i)));
      await until(() => woken.includes("fence"));
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      expect(woken).not.toContain("quiet");
      quiet.close();
      fence.close();
      socket.close();
    });

    test("leaves out what our own socket did, devices and tables that do not matter", async () => {
      const { netns, index } = host();
      using _ = netns;
      const socket = netns.enter(() => new NetlinkSocket(NETLINK_ROUTE));
      const woken: string[] = [];
      const interest = { indexes: new Set([index]), tables: new Set(["heddle_default"]) };
      const quiet = new Monitor({
        netns: netns.path,
        ownPort: socket.port,
        interest: () => interest,
        onDirty: () => woken.push("quiet"),
      });
      // Hears everything, so it tells when the notification in question has come.
      const fence = new Monitor({
        netns: netns.path,
        ownPort: NOBODY,
        interest: () => null,
        onDirty: () => woken.push("fence"),
      });
      const settle = async () => {
        await until(() => woken.includes("fence"));
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
        return new Set(woken.splice(0)).has("quiet");
      };
      socket.transactNow([neighbour(index, 1)]);
      expect(await settle()).toBe(false);
      netns.ip("neigh replace 198.18.9.9 lladdr 02:00:00:00:00:07 dev far0 nud permanent");
      expect(await settle()).toBe(false);
      netns.ip("neigh replace 198.18.9.9 lladdr 02:00:00:00:00:07 dev eth0 nud permanent");
      expect(await settle()).toBe(true);
      netns.ip("route add 10.9.0.0/24 dev eth0 table 100");
      expect(await settle()).toBe(false);
      netns.ip("route add 10.9.0.0/24 dev eth0");
      expect(await settle()).toBe(true);
      netns.exec(["nft", "add", "table", "inet", "other"]);
      expect(await settle()).toBe(false);
      netns.exec(["nft", "add", "table", "inet", "heddle_default"]);
      expect(await settle()).toBe(true);
      quiet.close();
      fence.close();
      socket.close();
    });
  });
}
