// Every kind of bad input: one line on stderr that names what is at fault and what was expected,
// the right exit code, nothing on stdout, nothing stored.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestNats } from "../support/nats.ts";
import { SAMPLE_HEAD, storeSample } from "./fabric.ts";
import { heddle, lines } from "./heddle.ts";

let nats: TestNats;
let dir: string;

beforeAll(async () => {
  nats = await TestNats.start();
  dir = await mkdtemp(join(tmpdir(), "heddle-cli-"));
  const connection = await nats.connect("bad");
  await connection.createStream(1);
  await storeSample(connection, "bad");
  await writeFile(join(dir, "not.json"), "{ Network");
  await writeFile(join(dir, "key.json"), '{"Network":"10.5.0.0/16","Netmask":24}');
  await writeFile(join(dir, "good.json"), '{"Network":"10.5.0.0/16"}');
});

afterAll(async () => {
  await nats.close();
  await rm(dir, { recursive: true, force: true });
});

/** Command line, exit code, what the line says. `DIR` stands for the test's directory. */
const cases: readonly [string, number, RegExp][] = [
  ["", 2, /no command given/],
  ["frobnicate", 2, /unknown command "frobnicate"/],
  ["events --frm 3", 2, /unknown option '--frm' \(Did you mean --from\?\)/],
  ["nodes extra", 2, /too many arguments/],
  ["peer frobnicate x", 2, /unknown command 'frobnicate'/],
  ["completion bash zsh", 2, /too many arguments/],
  ["events --from", 2, /--from <seq\|time>' argument missing/],
  ["events --from soon", 2, /--from .*'soon' is invalid.*a sequence \(42\), a time/],
  ["events --from 0", 2, /--from .*'0' is invalid/],
  ["events --from 2026-13-45", 2, /--from .*is invalid/],
  ["events --from 99", 2, /--from 99: the log ends at 11/],
  ["events --to 99", 2, /--to 99: the log ends at 11/],
  ["events --from 5 --to 3", 2, /--to 3: is before --from 5/],
  ["events --to 3 --follow", 2, /--follow: cannot be combined with --to/],
  ["events --type LeaseStolen", 2, /--type LeaseStolen: expected one of FabricConfigured/],
  ["state --at 99", 2, /--at 99: the log ends at 11/],
  ["state --at 2001-01-01", 2, /--at 2001-01-01: the log begins at 20\d\d-.* \(sequence 1\)/],
  ["state --at 2999-01-01T00:00:00Z", 2, /--at 2999-.*: is in the future/],
  ["state --fabric Upper", 2, /--fabric .*'Upper' is invalid.*1 to 32 of a-z/],
  ["state --fabric absent", 3, /fabric absent has no log .*heddle init/],
  ["state --nats http://x", 2, /--nats .*is invalid.*nats:\/\/.*HOST:PORT/],
  ["state --nats nats://127.0.0.1:1", 3, /nats:\/\/127\.0\.0\.1:1: connection refused/],
  ["state --creds /nowhere", 2, /--creds \/nowhere: cannot be read \(ENOENT\)/],
  ["state --tls-ca DIR", 3, /log: /],
  ["state --tls-cert /nowhere", 2, /--tls-cert \/nowhere: cannot be read \(ENOENT\)/],
  ["state --nats http://me:secret@x", 2, /argument '…@x' is invalid/],
  ["state --nats nats://me:sec/ret@x", 2, /argument '…@x' is invalid/],
  ["state --nats nats://me:se@c'ret@x", 2, /argument '…@x' is invalid/],
  ["state --nats me:sec/ret@x", 2, /argument '…@x' is invalid/],
  ["state --nats nats://me:50%off@x", 2, /argument '…@x' is invalid.*a "%" as %25/],
  ["plan --node h9", 1, /node h9 is not in the fabric at sequence 11/],
  ["plan --node h2 --at 3", 1, /node h2 is not in the fabric at sequence 3/],
  ["plan --node -x-", 2, /--node .*is invalid.*expected a node name/],
  ["plan --node h1 --format xml", 2, /--format .*'xml' is invalid.*ip or json/],
  ["diff", 2, /required option '--from <seq\|time>' not specified/],
  ["diff --from 5 --to 3", 2, /--from 5: is after --to 3/],
  ["diff --from 3 --node h9", 1, /node h9 is not in the fabric/],
  ["wait --seq 99", 2, /--seq 99: the log ends at 11/],
  ["wait --seq -1", 2, /--seq/],
  ["wait --seq 1 --timeout 5x", 2, /--timeout .*'5x' is invalid.*30s, 10m/],
  [
    "wait --seq 1 --timeout 200ms",
    1,
    /sequence 1 is not applied after 200ms: 0 live hosts, 1 wanted/,
  ],
  ["init", 2, /required option '--config <file>' not specified/],
  ["init --config /nowhere", 2, /--config \/nowhere: cannot be read \(ENOENT\)/],
  ["init --config DIR/not.json", 2, /not\.json: expected JSON/],
  ["init --config DIR/key.json", 2, /key\.json: Netmask: unknown key/],
  ["init --config DIR/good.json --replicas 9", 2, /--replicas .*whole number from 1 to 5/],
  ["init --fabric cluster --config DIR/good.json --replicas 3", 1, /replicas|2\.10/],
  ["peer add", 2, /required option|missing required argument/],
  ["peer add a_b --subnet 10.9.1.0/24 --public-ip 198.18.9.1", 2, /<name> "a_b": expected a name/],
  ["peer add p --subnet 10.9.1.1/24 --public-ip 198.18.9.1", 2, /--subnet .*without host bits/],
  ["peer add p --subnet 10.9.1.0/24 --public-ip ten", 2, /--public-ip .*expected an IP address/],
  ["peer add p --subnet 10.5.3.0/24 --public-ip 198.18.9.1", 2, /10\.5\.3\.0\/24 overlaps/],
  ["peer add p --subnet 10.9.1.0/24 --public-ip 198.18.0.1", 2, /198\.18\.0\.1 belongs to h1/],
  [
    "peer add p --subnet 10.9.1.0/24 --public-ip 1.2.3.4 --vtep-mac 01:00:00:00:00:00",
    2,
    /unicast MAC/,
  ],
  ["peer remove p", 2, /no peer named p/],
  ["lease reserve 10.5.3.0/24 --for h8", 2, /10\.5\.3\.0\/24 belongs to h1/],
  ["lease reserve 10.77.0.0/24", 2, /10\.77\.0\.0\/24 is not a subnet of the pool/],
  ["lease reserve ten", 2, /<subnet> "ten": expected a prefix/],
  ["lease revoke 10.5.99.0/24", 2, /neither leased nor reserved/],
  ["lease release --node h9", 2, /h9 holds no lease/],
  ["status --json --brief --socket DIR/none", 2, /--json.*cannot be used with.*--brief/],
  ["status --socket DIR/none", 3, /agent at .*none cannot be reached/],
  ["status --socket DIR/none --wait=100ms", 3, /cannot be reached/],
  ["nodes --socket DIR/none", 3, /cannot be reached/],
  ["resume --socket DIR/none", 3, /cannot be reached/],
  ["replay --node h1 --netns hd-no-such", 2, /--netns hd-no-such: no such namespace/],
  ["replay --node h1 --netns a/b", 2, /--netns "a\/b": expected a name/],
  ["agent --iface eth0 --can-reach 1.2.3.4", 2, /--can-reach: cannot be combined with --iface/],
  ["agent --iface /(/", 2, /--iface \/\(\/: expected a regular expression/],
  ["agent --public-ip ::1", 2, /--public-ip .*expected an IPv4 address/],
  ["agent --public-ipv6 1.2.3.4", 2, /--public-ipv6 .*expected an IPv6 address/],
  ["agent --lease-ttl 0", 2, /--lease-ttl .*whole number from 2/],
  [
    "agent --lease-ttl 60 --lease-renew-margin 60",
    2,
    /--lease-renew-margin 60: expected less than/,
  ],
  ["agent --embedded-nats 4222", 2, /--embedded-nats .*expected HOST:PORT/],
  ["agent --log-format xml", 2, /--log-format .*expected human or json/],
  ["completion tcsh", 2, /<shell> "tcsh": expected bash, zsh or fish/],
];

async function check([line, code, says]: (typeof cases)[number]): Promise<void> {
  const args = line.replaceAll("DIR", dir).split(" ").filter(Boolean);
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "bad" };
  const ran = await heddle(args, { env });
  const said = lines(ran.err);
  expect({ line, code: ran.code, out: ran.out, count: said.length, said: ran.err }).toEqual({
    line,
    code,
    out: "",
    count: 1,
    said: expect.stringMatching(says),
  });
  expect(said[0]).toStartWith("heddle: ");
}

test("bad input gets one line and the right exit code, and changes nothing", async () => {
  const queue = [...cases];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await check(next);
  };
  await Promise.all([worker(), worker()]);
  const connection = await nats.connect("bad");
  expect((await connection.log.info()).lastSeq).toBe(SAMPLE_HEAD);
  const other = await nats.connect("cluster");
  await expect(other.log.info()).rejects.toThrow();
});

test("an environment form is checked like its flag and named in the line", async () => {
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "bad", HEDDLE_AT: "soon" };
  const ran = await heddle(["state"], { env });
  expect(ran.code).toBe(2);
  expect(ran.err).toMatch(/^heddle: option '--at <seq\|time>' value 'soon' from env 'HEDDLE_AT'/);
});

test("a flag wins over its environment form, wherever it stands", async () => {
  const env = { HEDDLE_NATS: "nats://127.0.0.1:1", HEDDLE_FABRIC: "wrong", HEDDLE_JSON: "0" };
  for (const args of [
    ["state", "--nats", nats.url, "--fabric", "bad"],
    ["--nats", nats.url, "--fabric", "bad", "state"],
  ]) {
    const ran = await heddle(args, { env });
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toStartWith("fabric       bad\n");
  }
});

test("an empty environment variable is no value", async () => {
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "bad", HEDDLE_AT: "", HEDDLE_JSON: "" };
  const ran = await heddle(["state"], { env });
  expect(ran).toMatchObject({ code: 0, err: "" });
});

const asRoot = test.if(process.getuid?.() === 0);

asRoot("commands that change the network say in one line that they may not", async () => {
  // Not another user: a checkout in root's home is out of its reach.
  const nobody = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const where = ["--nats", nats.url, "--fabric", "bad", "--socket", join(dir, "s")];
  for (const command of ["agent", "down"]) {
    const child = Bun.spawn([...nobody, process.execPath, main, command, ...where], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect({ command, code: await child.exited, out, err }).toEqual({
      command,
      code: 1,
      out: "",
      err: "heddle: no privilege to change the network: run as root or with CAP_NET_ADMIN\n",
    });
  }
});
