// Golden output of the commands that read the log, from a real server.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { vtepMac } from "../../src/events/vtep-mac.ts";
import { TestNats } from "../support/nats.ts";
import { SAMPLE_HEAD, storeSample } from "./fabric.ts";
import { heddle, lines, timeless } from "./heddle.ts";

let nats: TestNats;
const H2_MAC = vtepMac("gold", "h2", "ipv4");

beforeAll(async () => {
  nats = await TestNats.start();
  const connection = await nats.connect("gold");
  await connection.createStream(1);
  await storeSample(connection, "gold");
});

afterAll(() => nats.close());

async function shown(...args: string[]): Promise<string> {
  const { code, out, err } = await heddle([...args, "--nats", nats.url, "--fabric", "gold"]);
  expect({ code, err: timeless(err).replace(/^from .*\n/, "") }).toEqual({ code: 0, err: "" });
  return `\n${timeless(out)}`;
}

test("events tells each record with its verdict and prints no control character", async () => {
  const raw = await heddle(["events", "--nats", nats.url, "--fabric", "gold", "--json"]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose.
  expect(raw.out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  expect(await shown("events")).toBe(`
     1  <t>  FabricConfigured  admin       10.5.0.0/16 by /24 vxlan
     2  <t>  NodeJoined        h1          vxlan at 198.18.0.1 eth0 mtu 1500
     3  <t>  LeaseClaimed      h1          10.5.3.0/24 epoch 1 for 86400 s
     4  <t>  NodeJoined        h2          vxlan at 198.18.0.2 eth0 mtu 1500
     5  <t>  LeaseClaimed      h2          10.5.7.0/24 epoch 1 for 86400 s
     6  <t>  LeaseClaimed      h1          10.5.7.0/24 epoch 2 for 60 s [void: h1 holds 10.5.3.0/24]
     7  <t>  PeerAdded         admin       lb1 10.9.0.0/24 at 198.18.9.9 02:00:00:00:00:09
     8  <t>  LeaseReserved     admin       10.5.50.0/24 for h5 "rack 5"
     9  <t>  NodeLeft          h2          asked to
    10  <t>  ?                 h3          9 bytes [quarantined: payload is not JSON]
    11  <t>  ?                 h3          3 bytes [quarantined: payload is not UTF-8]
`);
});

test("events shows the range and the types that were asked for", async () => {
  const some = await shown("events", "--from", "3", "--to", "8", "--type", "LeaseClaimed");
  expect(lines(some).map((line) => line.trim().split(" ")[0])).toEqual(["", "3", "5", "6"]);
  expect(lines(await shown("events", "--from", "1h")).length).toBe(SAMPLE_HEAD + 1);
});

test("nodes shows who is present, with subnets and underlay", async () => {
  expect(await shown("nodes")).toBe(`
NODE  STATE    SUBNETS      PUBLIC IP   BACKEND  UNDERLAY  MTU   HEARD                 VERSION
h1    present  10.5.3.0/24  198.18.0.1  vxlan    eth0      1500  <t>  test
h2    left     -            198.18.0.2  vxlan    eth0      1500  <t>  test
`);
});

test("leases shows leases and unused reservations", async () => {
  expect((await shown("leases")).replaceAll(/ {2,}/g, "  ")).toBe(`
SUBNETS  STATE  NODE  EPOCH  CLAIMED  RENEWED  EXPIRES  NOTE
10.5.3.0/24  leased  h1  1  <t>  <t>  <t>
10.5.50.0/24  reserved  h5  -  -  -  -  rack 5
`);
});

test("peers shows foreign VTEPs", async () => {
  expect(await shown("peers")).toBe(`
PEER  SUBNET       PUBLIC IP   VTEP MAC
lb1   10.9.0.0/24  198.18.9.9  02:00:00:00:00:09
`);
});

test("state is the fold up to the point that was asked for", async () => {
  expect(await shown("state", "--at", "5")).toBe(`
fabric       gold
sequence     5
time         <t>
config       10.5.0.0/16 by /24 vxlan (sequence 1)
quarantined  0

NODE  STATE    SUBNETS      PUBLIC IP
h1    present  10.5.3.0/24  198.18.0.1
h2    present  10.5.7.0/24  198.18.0.2
`);
});

test("diff tells what changed in the fabric", async () => {
  expect(await shown("diff", "--from", "3", "--to", "7")).toBe(`
node        + h2
lease       + h2 10.5.7.0/24
peer        + lb1 10.9.0.0/24 at 198.18.9.9
`);
  expect(await shown("diff", "--from", "7")).toBe(`
node        - h2
lease       - h2 10.5.7.0/24
reservation + 10.5.50.0/24
`);
});

test("diff of one host is what takes its kernel from one point to the other", async () => {
  const commands = lines(await shown("diff", "--from", "7", "--node", "h1"));
  expect(commands.slice(1).sort()).toEqual([
    `bridge fdb del ${H2_MAC} dev heddle.1 dst 198.18.0.2 self`,
    "ip neigh del 10.5.7.0 dev heddle.1",
    "ip route del 10.5.7.0/24 metric 0 proto 104",
  ]);
});

test("plan prints commands for any host at any point", async () => {
  const before = lines(await shown("plan", "--node", "h1", "--at", "3"));
  const after = lines(await shown("plan", "--node", "h1", "--at", "5"));
  const added = after.filter((line) => !before.includes(line));
  expect(added.map((line) => line.split(" ").slice(0, 4).join(" ")).sort()).toEqual([
    `bridge fdb replace ${H2_MAC}`,
    "ip neigh replace 10.5.7.0",
    "ip route replace 10.5.7.0/24",
  ]);
});

test("a reader that goes away ends the command quietly", async () => {
  const connection = await nats.connect("pipe");
  await connection.createStream(1);
  const events = '"$0" "$1" events --nats "$2" --fabric pipe --follow';
  const script = `${events} | head -1; echo "\${PIPESTATUS[0]}"`;
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const child = Bun.spawn(["bash", "-c", script, process.execPath, main, nats.url], {
    stdout: "pipe",
    stderr: "pipe",
  });
  // The writer notices with its next line.
  const again = setInterval(() => {
    const subject = "heddle.pipe.node.h9.member";
    void connection.log.append({ subject, payload: Uint8Array.of(1), id: crypto.randomUUID() });
  }, 50);
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  clearInterval(again);
  expect(lines(out).length).toBe(2);
  expect(lines(out)[1]).toBe("0");
  expect(err).toBe("");
});
