// The quick reader of routes says what the general one says, or leaves a route to it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inputOf } from "../../src/ffi/layout.ts";
import { AF_INET, NETLINK_ROUTE } from "../../src/ffi/netlink/constants.ts";
import type { Frame } from "../../src/ffi/netlink/header.ts";
import { route } from "../../src/ffi/netlink/route.ts";
import { NetlinkSocket } from "../../src/ffi/netlink/socket.ts";
import { Devices } from "../../src/reconcilers/kernel-netlink-dev.ts";
import { routeOf } from "../../src/reconcilers/kernel-netlink-route.ts";
import { plainRoute, plainRouteOf } from "../../src/reconcilers/kernel-netlink-route-plain.ts";
import { PROTOCOL } from "../../src/reconcilers/kernel-state.ts";

const OUR_ID = PROTOCOL * 0x1000000 + 5;
const plain = {
  header: { family: AF_INET, dst_len: 24, table: 254, protocol: PROTOCOL, scope: 0, type: 1 },
  attrs: {
    RTA_TABLE: 254,
    RTA_DST: Uint8Array.of(10, 5, 2, 0),
    RTA_GATEWAY: Uint8Array.of(10, 5, 2, 0),
    RTA_OIF: 1,
  },
} as const;

function frameOf(payload: Uint8Array): Frame {
  const header = { type: 24, flags: 0, seq: 0, pid: 0 };
  return { ...header, input: inputOf(payload), at: 0, end: payload.length };
}

describe("the quick reader of routes", () => {
  test("reads what we make, through an object and without", () => {
    const bytes = route.encode(plain.header, plain.attrs);
    const found = plainRouteOf(frameOf(bytes));
    expect(found).toMatchObject({ dst: "10.5.2.0/24", via: "10.5.2.0", oif: 1, shared: false });
    const through = { ...plain.attrs, RTA_NH_ID: OUR_ID };
    const shared = plainRouteOf(frameOf(route.encode(plain.header, through)));
    expect(shared).toMatchObject({ dst: "10.5.2.0/24", via: "10.5.2.0", oif: 1, shared: true });
  });

  test("agrees with the general one on whatever it reads", () => {
    const socket = new NetlinkSocket(NETLINK_ROUTE);
    const devices = new Devices(socket);
    const word = fc.uint8Array({ minLength: 4, maxLength: 4 });
    const few = (...values: number[]) => fc.constantFrom(...values);
    const header = fc.record({
      ...{ family: few(2, 2, 10), dst_len: few(0, 24, 32), src_len: few(0, 0, 8) },
      ...{ tos: few(0, 0, 16), table: few(254), protocol: few(PROTOCOL, PROTOCOL, PROTOCOL, 4) },
      ...{ scope: few(0, 0, 253), type: few(1, 1, 1, 6, 7), flags: few(0, 4, 16) },
    });
    const usual = { RTA_DST: word, RTA_GATEWAY: word, RTA_OIF: few(1), RTA_PRIORITY: fc.nat() };
    const ids = { RTA_NH_ID: few(7, OUR_ID, OUR_ID) };
    const rare = { RTA_PREFSRC: word, RTA_METRICS: word, RTA_FLOW: fc.nat() };
    const attrs = fc.oneof(
      fc.record(usual),
      fc.record({ ...usual, ...ids }),
      fc.record({ ...usual, ...ids, ...rare }, { requiredKeys: [] }),
    );
    let read = 0;
    const object = { id: OUR_ID, via: null, oif: 1, onlink: false, protocol: PROTOCOL };
    fc.assert(
      fc.property(header, attrs, (fields, values) => {
        const bytes = route.encode(fields, values);
        const found = plainRouteOf(frameOf(bytes));
        if (found === null) return;
        read += 1;
        const general = routeOf(route.decode(bytes), devices, new Map([[OUR_ID, object]]));
        expect(plainRoute(found, devices.nameOf(found.oif) ?? "")).toEqual(general);
      }),
      { numRuns: 3000 },
    );
    expect(read).toBeGreaterThan(50);
    socket.close();
  });
});
