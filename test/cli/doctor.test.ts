// Checks on rulesets of others as `nft list ruleset` prints them, and the whole command.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { z } from "zod";
import type { PeerStatus } from "../../src/agent/status.ts";
import type { Findings } from "../../src/cli/doctor-check.ts";
import { dockerDrops, forwardPolicy } from "../../src/cli/doctor-filter.ts";
import { packetsOnRestart } from "../../src/cli/doctor-host.ts";
import { wayCheck } from "../../src/cli/doctor-way.ts";
import type { TunnelStatus } from "../../src/reconcilers/tunnel-status.ts";
import { history } from "../support/history.ts";
import { TestNats } from "../support/nats.ts";
import { storeSample } from "./fabric.ts";
import { heddle } from "./heddle.ts";

const findings: Findings = {
  node: "h1",
  fabric: "f",
  status: null,
  plan: null,
  log: null,
  facts: null,
  state: history("f")
    .config({ Network: "10.5.0.0/16" })
    .join("h1")
    .claim("h1", ["10.5.3.0/24"])
    .state(),
};

const forward = (policy: string, rules = ""): string => `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy ${policy};
${rules}	}
}
`;

test("a forward chain whose policy is drop is reported until it accepts the network", () => {
  expect(forwardPolicy(forward("accept"), "", findings).result).toBe("ok");
  const closed = forwardPolicy(forward("drop"), "", findings);
  expect(closed).toMatchObject({ result: "warn", found: "forward policy is DROP in ip filter" });
  expect(closed.advice).toContain("iptables -I FORWARD -s 10.5.0.0/16 -j ACCEPT");
  const rule = "\t\tip saddr 10.5.0.0/16 counter packets 0 bytes 0 accept\n";
  expect(forwardPolicy(forward("drop", rule), "", findings).result).toBe("ok");
  const legacy = "-P INPUT ACCEPT\n-P FORWARD DROP\n";
  expect(forwardPolicy("", legacy, findings).found).toContain("iptables-legacy");
  const opened = `${legacy}-A FORWARD -s 10.5.0.0/16 -j ACCEPT\n`;
  expect(forwardPolicy("", opened, findings).result).toBe("ok");
});

const docker = (raw = "", user = ""): string => `table ip raw {
	chain PREROUTING {
		type filter hook prerouting priority raw; policy accept;
${raw}		ip daddr 10.5.3.2 iifname != "docker0" counter packets 0 bytes 0 drop
	}
}
table ip filter {
	chain DOCKER {
		iifname != "docker0" oifname "docker0" counter packets 0 bytes 0 drop
	}
	chain DOCKER-USER {
${user}	}
}
`;

test("the drop rules of Docker 28 are reported until both tables let the tunnel in", () => {
  const accept = '\t\tiifname "heddle.1" counter packets 0 bytes 0 accept\n';
  const found = dockerDrops(docker(), "", findings);
  expect(found.result).toBe("warn");
  expect(found.advice).toContain("iptables -I DOCKER-USER -i heddle.1 -o docker0 -j ACCEPT");
  expect(dockerDrops(docker(accept), "", findings).result).toBe("warn");
  expect(dockerDrops(docker(accept, accept), "", findings).result).toBe("ok");
  expect(dockerDrops(forward("accept"), "", findings).result).toBe("ok");
});

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
});

afterAll(() => nats.close());

const report = z.strictObject({
  ok: z.boolean(),
  checks: z.array(
    z.strictObject({
      name: z.string(),
      result: z.enum(["ok", "warn", "fail"]),
      found: z.string(),
      advice: z.string().nullable(),
    }),
  ),
});

const SOCKET = "/nonexistent/heddle.sock";

test("doctor names every check, says what to do, and fails when one fails", async () => {
  const connection = await nats.connect("doc");
  await connection.createStream(1);
  await storeSample(connection, "doc");
  const ran = await heddle([
    "doctor",
    "--json",
    "--nats",
    nats.url,
    "--fabric",
    "doc",
    "--socket",
    SOCKET,
  ]);
  expect(ran).toMatchObject({ code: 1, err: "" });
  const { ok, checks } = report.parse(JSON.parse(ran.out));
  expect(ok).toBe(false);
  const named = new Map(checks.map((check) => [check.name, check]));
  expect(named.size).toBe(checks.length);
  expect(named.get("agent-reachable")?.result).toBe("fail");
  expect(named.get("log-reachable")?.found).toMatch(/^nats-server \d+\.\d+\.\d+, 11 records$/);
  expect(named.get("log-streams")?.result).toBe("ok");
  expect(named.get("log-quarantine")).toMatchObject({
    result: "warn",
    found: "2 records refused, last 10: payload is not JSON; 11: payload is not UTF-8",
  });
  expect([...named.keys()]).toEqual(expect.arrayContaining(NAMES));
  for (const { result, advice } of checks) expect(advice === null).toBe(result === "ok");
});

test("whether packets of the udp backend outlive the agent is told, with what to do", () => {
  const state = history("f")
    .config({ Network: "10.5.0.0/16", Backend: { Type: "udp" } })
    .state();
  const of = (on: boolean) => {
    const features = [{ name: "kernel-resident", on, reason: on ? null : "EPERM" }];
    const none = { device: "heddle0", port: 8285, listen: [], counters: {}, peers: [] };
    const tunnel: TunnelStatus = { ...none, features };
    return packetsOnRestart({ state, status: { tunnel } });
  };
  expect(of(true).result).toBe("ok");
  expect(of(false)).toMatchObject({ result: "warn", found: "packets stop while no agent runs" });
  expect(of(false).advice).toContain("heddle agent --takeover");
  expect(packetsOnRestart({ state, status: null }).result).toBe("ok");
  expect(packetsOnRestart({ ...findings, status: null }).found).toBe("not needed by vxlan");
});

test("a way that swallows large packets is told from one that carries nothing", async () => {
  const peer = (node: string, path: PeerStatus["path"]): PeerStatus => {
    return { node, subnets: [], publicIp: `198.18.0.${node}`, path, state: "applied", error: null };
  };
  const asked: string[] = [];
  const of = async (type: string, mtu: number, limits: readonly number[]) => {
    const peers = limits.map((_limit, i) => peer(String(i), type === "udp" ? "udp" : "vxlan"));
    const status = { backend: { type, device: "d", mtu }, peers };
    return await wayCheck({ status }, async (ip, bytes) => {
      asked.push(`${ip} ${bytes}`);
      return bytes <= (limits[Number(ip.split(".")[3])] ?? 0);
    });
  };
  expect(await of("udp", 1472, [1472, 1472])).toMatchObject({
    result: "ok",
    found: "2 of 2 peers answer large packets, 0 none at all",
  });
  // With its header of 28 bytes an echo is as long as the tunnel's own packet.
  expect(asked).toEqual(["198.18.0.0 1472", "198.18.0.1 1472"]);
  expect((await of("udp", 1472, [1472, 0])).found).toContain("1 of 2 peers");
  const swallows = await of("vxlan", 1450, [1472, 1400, 0]);
  expect(swallows.result).toBe("fail");
  expect(swallows.found).toEndWith("small ones pass: 1 (198.18.0.1)");
  expect(swallows.advice).toContain("Backend.MTU");
  expect((await of("host-gw", 1500, [0])).found).toBe("not needed by host-gw");
  expect((await wayCheck({ status: null })).found).toBe("not measured: no agent");
});

const NAMES = [
  "fabric-configured",
  "agent-lag",
  "clock-skew",
  "privileges",
  "kernel-vxlan",
  "dev-net-tun",
  "udp-restart",
  "ip-forward",
  "nft",
  "mtu",
  "vxlan-port",
  "flannel",
  "subnet-file",
  "forward-policy",
  "docker-drop",
  "way-mtu",
];

test("doctor makes no stream, and says so when the log cannot be reached", async () => {
  const args = ["doctor", "--fabric", "nothing", "--socket", SOCKET];
  const empty = await heddle([...args, "--nats", nats.url]);
  expect(empty.out).toMatch(/^fail {2}log-reachable +fabric nothing has no log/m);
  const connection = await nats.connect("nothing");
  await expect(connection.log.info()).rejects.toMatchObject({ kind: "missing" });
  const away = await heddle([...args, "--nats", "nats://127.0.0.1:1"]);
  expect(away.code).toBe(1);
  expect(away.out).toMatch(
    /^fail {2}log-reachable +log: nats:\/\/127\.0\.0\.1:1: connection refused/m,
  );
});
