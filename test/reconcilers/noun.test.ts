// Ownership and wording, noun by noun: what may be removed, and how a change reads in a log.

import { describe, expect, test } from "bun:test";
import { describe as command, driftOf } from "../../src/reconcilers/describe.ts";
import { type Addr, ANY_MAC, keyOf, type Link } from "../../src/reconcilers/kernel-state.ts";
import { deviceName } from "../../src/reconcilers/link.ts";
import { nouns } from "../../src/reconcilers/nouns.ts";
import { onlinkTest } from "../../src/reconcilers/onlink.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { ruleTable } from "../../src/reconcilers/rule.ts";
import { sysctlDevice } from "../../src/reconcilers/sysctl.ts";
import * as kernelObjects from "../support/kernel-objects.ts";

const BY = { fabric: "blue", devices: new Set(["heddle.1"]), learning: new Set<string>() };

const link: Link = { ...kernelObjects.link, alias: "heddle blue" };
const route = kernelObjects.route("heddle.1", "10.5.2.0/24", "10.5.2.0");
const neigh = kernelObjects.neigh("heddle.1", "10.5.2.0", "02:00:00:00:00:02");
const fdb = kernelObjects.fdb("heddle.1", "198.18.0.2", "02:00:00:00:00:02");
const addr: Addr = { dev: "heddle.1", address: "10.5.1.0/32" };

describe("ours", () => {
  test("is a device with the fabric's mark, no other fabric's and nobody's", () => {
    expect(nouns.link.owned(link, BY)).toBe(true);
    for (const alias of ["heddle green", "heddle blue2", "blue", null]) {
      expect(nouns.link.owned({ ...link, alias }, BY)).toBe(false);
    }
  });

  test("is a route with our number on our devices and on the underlay", () => {
    expect(nouns.route.owned(route, BY)).toBe(true);
    expect(nouns.route.owned({ ...route, dev: "eth0" }, BY)).toBe(true);
    for (const foreign of [{ protocol: 4 }, { dev: "heddle.9" }, { dev: "heddle-v6.1" }]) {
      expect(nouns.route.owned({ ...route, ...foreign }, BY)).toBe(false);
    }
  });

  test("is a neighbour with our number on our devices", () => {
    expect(nouns.neigh.owned(neigh, BY)).toBe(true);
    expect(nouns.neigh.owned({ ...neigh, protocol: 0 }, BY)).toBe(false);
    expect(nouns.neigh.owned({ ...neigh, dev: "eth0" }, BY)).toBe(false);
  });

  test("is any forwarding entry and address on our devices but what the kernel makes", () => {
    expect(nouns.fdb.owned(fdb, BY)).toBe(true);
    expect(nouns.fdb.owned({ ...fdb, dev: "vxlan0" }, BY)).toBe(false);
    expect(nouns.addr.owned(addr, BY)).toBe(true);
    expect(nouns.addr.owned({ ...addr, dev: "eth0" }, BY)).toBe(false);
    for (const address of ["fe80::1/64", "febf::1/64", "ff02::1/128"]) {
      expect(nouns.addr.owned({ ...addr, address }, BY)).toBe(false);
    }
    for (const address of ["fd00::1/128", "fec0::1/64", "2001:db8::/128"]) {
      expect(nouns.addr.owned({ ...addr, address }, BY)).toBe(true);
    }
  });

  test("is a forwarding entry on a learning device unless it was learnt", () => {
    const by = { ...BY, learning: new Set(["heddle.1"]) };
    const learnt = { ...fdb, permanent: false };
    expect(nouns.fdb.owned(learnt, by)).toBe(false);
    expect(nouns.fdb.owned(learnt, BY)).toBe(true);
    expect(nouns.fdb.owned(fdb, by)).toBe(true);
    expect(nouns.fdb.owned({ ...learnt, mac: ANY_MAC }, by)).toBe(true);
  });

  test("is the table of the fabric's own name, and never a switch", () => {
    expect(nouns.rule.owned(ruleTable("blue", [], false), BY)).toBe(true);
    expect(nouns.rule.owned(ruleTable("green", [], false), BY)).toBe(false);
    expect(nouns.sysctl.owned({ path: "net/ipv4/ip_forward", value: "1" }, BY)).toBe(false);
  });
});

describe("in words", () => {
  const set = (op: Partial<Op> & Pick<Op, "noun" | "object">): Op =>
    ({ verb: "set", key: "", found: null, ...op }) as Op;

  test("a change in place differs from a new device", () => {
    const lower = set({ noun: "link", object: link, found: { ...link, mtu: 1400 } });
    expect(command(lower)).toBe(
      "ip link set heddle.1 type vxlan id 1 dev eth0 local 198.18.0.1 nolearning && " +
        "ip link set heddle.1 alias 'heddle blue' up address 02:00:00:00:00:01 mtu 1450",
    );
    const other = set({ noun: "link", object: link, found: { ...link, vni: 2 } });
    expect(command(other)).toStartWith("ip link del heddle.1 && ip link add heddle.1 ");
  });

  test("removals name no more than the kernel needs", () => {
    const gone = (noun: Op["noun"], object: Op["object"]): string =>
      command({ verb: "del", noun, key: "", object, found: object } as Op);
    expect(gone("link", link)).toBe("ip link del heddle.1");
    expect(gone("route", route)).toBe("ip route del 10.5.2.0/24 metric 0 proto 104");
    expect(gone("neigh", neigh)).toBe("ip neigh del 10.5.2.0 dev heddle.1");
    expect(gone("fdb", fdb)).toBe(
      "bridge fdb del 02:00:00:00:00:02 dev heddle.1 dst 198.18.0.2 self",
    );
    expect(gone("addr", addr)).toBe("ip addr del 10.5.1.0/32 dev heddle.1");
  });

  test("a name from the log is one word to a shell, whatever is in it", () => {
    const dev = "$(id);'x' y";
    const via = { ...fdb, via: dev };
    for (const op of [
      set({ noun: "link", object: { ...link, underlay: dev } }),
      set({ noun: "route", object: { ...route, dev } }),
      set({ noun: "fdb", object: via }),
      { verb: "del", noun: "fdb", key: "", object: via, found: via } as Op,
    ]) {
      const [first = ""] = command(op).split(" && ");
      const { stdout } = Bun.spawnSync(["sh", "-c", `printf '%s\\n' ${first}`]);
      expect(stdout.toString().split("\n")).toContain(dev);
    }
  });

  test("drift says what was found and what was wanted", () => {
    const found = { ...route, via: "192.0.2.1", extra: "src 10.0.0.1" };
    expect(driftOf(set({ noun: "route", object: route, found }))).toEqual({
      noun: "route",
      problem: "altered",
      found: "10.5.2.0/24 via 192.0.2.1 dev heddle.1 onlink proto 104 metric 0 src 10.0.0.1",
      wanted: "10.5.2.0/24 via 10.5.2.0 dev heddle.1 onlink proto 104 metric 0",
    });
    const stray = { verb: "del", noun: "addr", key: keyOf.addr(addr), object: addr, found: addr };
    expect(driftOf(stray as Op)).toMatchObject({ problem: "stray", wanted: null });
  });
});

describe("on-link", () => {
  test("is decided by prefix, in each family by itself", () => {
    const test = onlinkTest(["198.18.0.0/15", "203.0.113.7/32", "2001:db8::/64"]);
    for (const ip of ["198.18.0.1", "198.19.255.255", "203.0.113.7", "2001:db8::ffff"]) {
      expect([ip, test(ip)]).toEqual([ip, true]);
    }
    for (const ip of ["198.20.0.0", "203.0.113.8", "2001:db8:0:1::", "0.0.0.0", "::1"]) {
      expect([ip, test(ip)]).toEqual([ip, false]);
    }
    expect(onlinkTest(["0.0.0.0/0"])("255.255.255.255")).toBe(true);
    expect(onlinkTest([])("198.18.0.1")).toBe(false);
  });
});

test("no device name is longer than the kernel allows", () => {
  for (const vni of [1, 99_999, 100_000, 16_777_215]) {
    for (const family of ["ipv4", "ipv6"] as const) {
      expect(deviceName(vni, family).length).toBeLessThanOrEqual(15);
    }
  }
});

test("a per-device switch names its device, dots and all", () => {
  expect(sysctlDevice("net/ipv6/conf/heddle-v6.1/accept_ra")).toBe("heddle-v6.1");
  for (const path of ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]) {
    expect(sysctlDevice(path)).toBeNull();
  }
});
