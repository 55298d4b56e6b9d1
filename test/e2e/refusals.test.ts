// What cannot work is refused: one line on stderr that names what is at fault, the right exit code,
// and nothing changed, on the host or in the log. Bad input of every command is in test/cli.

import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("refusals");
const CONFIG = { Network: "10.5.0.0/16" };
/** How long an agent without a snapshot waits for a log. */
const GIVE_UP_MS = 10_000;
/** Nobody but this test uses the ports of the switch's namespace. */
const SWITCH = "nats://198.18.0.254";
const NO_JETSTREAM = `${SWITCH}:5001`;
const LOCKED = `${SWITCH}:5002`;
const NOBODY = `${SWITCH}:5003`;

interface Refusal {
  readonly what: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly line: RegExp;
}

const AGENT: readonly Refusal[] = [
  { what: "unknown flag", args: ["--frobnicate"], code: 2, line: /--frobnicate/ },
  { what: "bad address", args: ["--public-ip", "ten"], code: 2, line: /--public-ip .*IPv4/ },
  { what: "bad name", args: ["--node", "-x-"], code: 2, line: /--node .*node name/ },
  { what: "two choices", args: ["--can-reach", "1.2.3.4"], code: 2, line: /--can-reach.*--iface/ },
  { what: "no file", args: ["--creds", "/nowhere"], code: 2, line: /--creds \/nowhere/ },
  {
    what: "wrong times",
    args: ["--lease-ttl", "5", "--lease-renew-margin", "5"],
    code: 2,
    line: /5/,
  },
  {
    what: "socket",
    args: ["--socket", "/proc/heddle.sock"],
    code: 1,
    line: /\/proc\/heddle\.sock/,
  },
];

const DOCUMENTS: readonly { text: string; line: RegExp }[] = [
  { text: "{ Network", line: /expected JSON/ },
  { text: "{}", line: /Network: missing/ },
  { text: '{"Network":"10.5.0.0/16","Netmask":24}', line: /Netmask: unknown key/ },
  { text: '{"Network":"10.5.0.1/16"}', line: /Network: expected an IPv4 prefix/ },
  { text: '{"Network":"10.5.0.0/16","SubnetMin":"10.6.1.0"}', line: /SubnetMin: .*outside/ },
  { text: '{"Network":"10.5.0.0/16","SubnetLen":12}', line: /SubnetLen: expected 18 to 30/ },
  { text: '{"Network":"10.5.0.0/16","Backend":{"Type":"gre"}}', line: /Backend\.Type/ },
];

test.concurrent.skipIf(!canRun)(
  "an agent that is told nonsense ends at once and changes nothing",
  () =>
    withFabric({ hosts: 1 }, async (fabric) => {
      await fabric.init(CONFIG);
      const before = whole(fabric);
      for (const { what, args, code, line } of AGENT) {
        const ran = fabric.exec(fabric.host("h1").netns, fabric.agent("h1", ...args));
        expect({ what, ...ran }).toEqual({ what, code, out: "", err: oneLine(line) });
        expect(whole(fabric)).toEqual(before);
      }
    }),
);

test.concurrent.skipIf(!canRun)(
  "without privileges the agent and down say what is missing and change nothing",
  () =>
    withFabric({ hosts: 1 }, async (fabric) => {
      await fabric.init(CONFIG);
      const before = whole(fabric);
      const { netns } = fabric.host("h1");
      // Not another user: a checkout in root's home is out of its reach.
      const nobody = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
      for (const command of [fabric.agent("h1"), fabric.command("down", "h1")]) {
        const ran = fabric.exec(netns, [...nobody, ...command]);
        expect(ran).toEqual({ code: 1, out: "", err: oneLine(/CAP_NET_ADMIN/) });
        expect(whole(fabric)).toEqual(before);
      }
    }),
);

test.concurrent.skipIf(!canRun)(
  "a bad configuration is refused by the name of its key, and makes no stream",
  () =>
    withFabric({ hosts: 1 }, async (fabric) => {
      const path = join(fabric.dir, "bad.json");
      for (const { text, line } of DOCUMENTS) {
        await Bun.write(path, text);
        const ran = fabric.heddle("init", "--config", path);
        expect({ text, ...ran }).toEqual({ text, code: 2, out: "", err: oneLine(line) });
      }
      const none = fabric.heddle("nodes");
      expect(none).toEqual({ code: 3, out: "", err: oneLine(/fabric default has no log/) });
    }),
);

test.concurrent.skipIf(!canRun)(
  "a server that is away, has no JetStream or does not know us is named, with exit code 3",
  () => withFabric({ hosts: 3 }, refuseServers),
);

async function refuseServers(fabric: TestFabric): Promise<void> {
  const listen = ["nats-server", "-a", "198.18.0.254"];
  const store = join(fabric.dir, "locked");
  const servers = [
    [...listen, "-p", "5001"],
    [...listen, "-p", "5002", "-js", "-sd", store, "--user", "u", "--pass", "secret"],
  ].map((command) => fabric.spawn(fabric.dev.switch, command));
  try {
    const refusals = [
      { host: "h1", nats: NO_JETSTREAM, line: /JetStream does not answer/ },
      { host: "h2", nats: LOCKED, line: /198\.18\.0\.254:5002: Authorization Violation/ },
      { host: "h3", nats: NOBODY, line: /198\.18\.0\.254:5003: connection refused/ },
    ];
    // A command asks once; an agent keeps asking for a while.
    for (const { nats, line } of refusals) {
      await until(`${nats} answers as it shall`, 5000, () => {
        return line.test(fabric.heddle("nodes", "--nats", nats).err);
      });
      const ran = fabric.heddle("nodes", "--nats", nats);
      expect(ran).toEqual({ code: 3, out: "", err: oneLine(line) });
    }
    await Promise.all(
      refusals.map(async ({ host, nats, line }) => {
        const startMs = performance.now();
        const agent = fabric.start(host, "--nats", nats);
        expect(await agent.exited).toBe(3);
        expect(performance.now() - startMs).toBeGreaterThan(GIVE_UP_MS - 100);
        expect(fabric.logs(host).trimEnd()).toEqual(oneLine(line));
        expect(kernelOf(fabric, host)).toEqual(nothing);
        expect(existsSync(fabric.host(host).subnetFile)).toBe(false);
      }),
    );
  } finally {
    for (const server of servers) {
      server.kill("SIGKILL");
      await server.exited;
    }
  }
}

test.concurrent.skipIf(!canRun)("a fabric that is not configured yet is waited for, and said", () =>
  withFabric({ hosts: 1 }, async (fabric) => {
    fabric.start("h1");
    await until("told what is missing", 15_000, async () => {
      const status = await fabric.status("h1");
      return status?.problems.some((problem) => /no log: run heddle init/.test(problem)) === true;
    });
    expect(kernelOf(fabric, "h1")).toEqual(nothing);
    await fabric.init(CONFIG);
    await fabric.ready(["h1"], 0);
  }),
);

test.concurrent.skipIf(!canRun)(
  "a tunnel device that the kernel refuses is named, and the agent does not claim to be ready",
  () =>
    withFabric({ hosts: 2 }, async (fabric) => {
      await fabric.init(CONFIG);
      // Another program's device with our VNI and port: the kernel allows one.
      const vxlan = "link add rival type vxlan id 1 dstport 8472 dev eth0 local 198.18.0.1";
      expect(fabric.exec(fabric.host("h1").netns, ["ip", ...vxlan.split(" ")]).code).toBe(0);
      for (const name of ["h1", "h2"]) fabric.start(name);
      await fabric.ready(["h2"], 1);
      await until("h1 says what is wrong", 10_000, async () => {
        const status = await fabric.status("h1");
        return (
          status?.state === "degraded" &&
          status.problems.some((problem) => /heddle\.1.*EEXIST/.test(problem))
        );
      });
      const shown = fabric.exec(fabric.host("h1").netns, fabric.command("status", "h1"));
      expect(shown.code).toBe(1);
      expect(fabric.ip("h1", "link show rival")).toHaveLength(1);
      fabric.exec(fabric.host("h1").netns, ["ip", "link", "del", "rival"]);
      await fabric.ready(["h1", "h2"], 1);
    }),
);

const nothing = { links: [], addresses: [], routes: [], rules: "" };

function kernelOf(fabric: TestFabric, name: string): typeof nothing {
  const rules = fabric.exec(fabric.host(name).netns, ["nft", "list", "ruleset"]).out;
  const links = fabric.ip(name, "link show type vxlan") as never[];
  const addresses = fabric.ip(name, "addr show dev lo scope global") as never[];
  return { links, addresses, routes: fabric.ip(name, "route show proto 104") as never[], rules };
}

/** Host and log: kernel, files, last sequence. */
function whole(fabric: TestFabric): unknown {
  const forward = ["cat", "/proc/sys/net/ipv4/ip_forward"];
  return {
    kernel: kernelOf(fabric, "h1"),
    forward: fabric.exec(fabric.host("h1").netns, forward).out,
    files: readdirSync(fabric.host("h1").dir).filter((file) => !file.endsWith(".log")),
    seq: fabric.events().length,
  };
}

function oneLine(says: RegExp): string {
  return expect.stringMatching(new RegExp(`^heddle: [^\\n]*${says.source}[^\\n]*$`)) as string;
}
