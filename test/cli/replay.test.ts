// heddle replay on the real kernel, read back with ip, bridge and nft.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { vtepMac } from "../../src/events/vtep-mac.ts";
import { history } from "../support/history.ts";
import { TestNats } from "../support/nats.ts";
import { makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import { heddle, lines, store } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
  const connection = await nats.connect("past");
  await connection.createStream(1);
  const story = history("past")
    .config({
      Network: "10.5.0.0/16",
      EnableIPv6: true,
      IPv6Network: "fd00:5::/48",
      Backend: { Type: "vxlan", VNI: 7 },
    })
    .join("h1", { underlay: { dev: "ens3", mtu: 9000 } })
    .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
    .join("h2")
    .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
    .leave("h2")
    .join("h3", { underlay: { dev: "x\nlink del eth9" } })
    .claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"])
    .leave("h3");
  await store(connection, story);
});

afterAll(() => nats.close());

function replay(netns: Netns, ...more: string[]) {
  const args = ["replay", "--node", "h1", "--netns", netns.name, ...more];
  return heddle(args, { env: { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "past" } });
}

describe.if(requireRoot("replay"))("replay", () => {
  test("rebuilds every object the host had at that point, on a stand-in underlay", async () => {
    using netns = makeNetns();
    const ran = await replay(netns, "--at", "5");
    expect(ran.err).toEndWith(
      `h1 at sequence 5 in ${netns.name}: ${lines(ran.out).length} objects, verified\n`,
    );
    expect(ran.code).toBe(0);
    const [device] = netns.ipJson("link show heddle.7");
    expect(device).toMatchObject({
      mtu: 8950,
      ifalias: "heddle past",
      address: vtepMac("past", "h1", "ipv4"),
      linkinfo: { info_data: { id: 7, port: 8472, local: "198.18.0.1", link: "ens3" } },
    });
    expect(netns.ipJson("link show ens3")).toMatchObject([{ mtu: 9000 }]);
    expect(netns.ip("-br addr show heddle-v6.7")).toContain("fd00:5:0:1::/128");
    expect(netns.ipJson("route show proto 104")).toMatchObject([
      { dst: "10.5.2.0/24", gateway: "10.5.2.0", dev: "heddle.7", flags: ["onlink"] },
    ]);
    expect(netns.ipJson("-6 route show proto 104")).toMatchObject([
      { dst: "fd00:5:0:2::/64", gateway: "fd00:5:0:2::", dev: "heddle-v6.7" },
    ]);
    expect(netns.ipJson("neigh show dev heddle.7")).toMatchObject([
      { dst: "10.5.2.0", lladdr: vtepMac("past", "h2", "ipv4"), state: ["PERMANENT"] },
    ]);
    expect(netns.bridgeJson("fdb show dev heddle.7")).toMatchObject([
      { mac: vtepMac("past", "h2", "ipv4"), dst: "198.18.0.2" },
    ]);
    expect(netns.exec(["nft", "list", "tables"])).toBe("table inet heddle_past\n");
  });

  test("shows another point of the same history without the host that had left", async () => {
    using netns = makeNetns();
    expect((await replay(netns)).code).toBe(0);
    expect(netns.ipJson("route show proto 104")).toEqual([]);
    expect(netns.ipJson("link show heddle.7")).toHaveLength(1);
  });

  test("refuses a namespace that holds anything of ours and leaves it as it is", async () => {
    using netns = makeNetns();
    expect((await replay(netns, "--at", "5")).code).toBe(0);
    const before = netns.ip("route show table all");
    const again = await replay(netns);
    expect(again).toMatchObject({ code: 2, out: "" });
    expect(again.err).toContain(`--netns ${netns.name}: is not empty: it holds heddle`);
    expect(netns.ip("route show table all")).toBe(before);
  });

  test("takes a device's name in the log for no command of its own", async () => {
    using netns = makeNetns();
    netns.ip("link add eth8 type veth peer name eth9");
    const ran = await replay(netns, "--node", "h3", "--at", "8");
    expect(ran.err).toContain('there is no stand-in for a device "x\\nlink del eth9"');
    expect(ran.code).toBe(1);
    expect(netns.ipJson("link show eth9")).toHaveLength(1);
  });

  test("uses an underlay device that is there already", async () => {
    using netns = makeNetns();
    netns.ip("link add ens3 mtu 9000 type veth peer name other");
    netns.ip("link set ens3 up");
    netns.ip("addr add 198.18.0.1/24 dev ens3");
    netns.ip("addr add 2001:db8::1/64 dev ens3 nodad");
    expect((await replay(netns, "--at", "5")).code).toBe(0);
    expect(netns.ipJson("link show")).toHaveLength(5);
  });
});
