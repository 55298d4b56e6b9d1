// Whatever anybody writes to the log: what no honest host would say is quarantined with its
// sequence and reason, is seen by whoever looks, and changes nothing on any host.

import { expect, test } from "bun:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import type { RawMessage } from "../support/nats-tool.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("garbage in the log");
const HOSTS = ["h1", "h2", "h3"];
const LIMIT_MS = 10_000;
const ESCAPE = String.fromCharCode(27);

interface Garbage {
  readonly what: string;
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly verdict: "quarantined" | "void" | "accepted";
  readonly reason: RegExp;
}

test.skipIf(!canRun)("garbage in the log is quarantined, shown, and changes no host", () =>
  withFabric({ hosts: 3 }, suffer),
);

async function suffer(fabric: TestFabric): Promise<void> {
  await fabric.init({ Network: "10.5.0.0/16" });
  for (const name of HOSTS) fabric.start(name);
  await fabric.ready(HOSTS, 2);
  const [victim, writer] = await Promise.all([fabric.status("h2"), fabric.status("h1")]);
  if (victim === null || writer === null) throw new Error("no status");
  const before = HOSTS.map((name) => fabric.kernel(name));
  expect(JSON.stringify(before)).toContain("heddle.1");

  const garbage = garbageBy(writer, victim);
  const seqs = fabric.publish(garbage.map(({ subject, payload }) => raw(subject, payload)));
  const counted = garbage.filter(({ verdict }) => verdict === "quarantined").length;
  await until("every host has read it", LIMIT_MS, async () => {
    const found = await Promise.all(HOSTS.map((name) => fabric.status(name)));
    return found.every((status) => (status?.seq.applied ?? 0) >= (seqs.at(-1) ?? 0));
  });

  expect(HOSTS.map((name) => fabric.kernel(name))).toEqual(before);
  for (const name of HOSTS) {
    const status = await fabric.status(name);
    expect(status).toMatchObject({ state: "ready", quarantined: counted, drift: { healed: 0 } });
    expect(status?.peers).toHaveLength(2);
    expect(fabric.logs(name).match(/record quarantined/g)).toHaveLength(counted);
    expect(fabric.logs(name)).not.toContain(ESCAPE);
  }
  expectShown(fabric, garbage, seqs);
  const twice = { ...raw("heddle.default.node.h1.report", "{"), id: "once" };
  const [first, second] = fabric.publish([twice, twice]);
  expect(second).toBe(first ?? 0);
}

function expectShown(fabric: TestFabric, garbage: readonly Garbage[], seqs: number[]): void {
  const logged = new Map(fabric.events().map((event) => [event.seq, event]));
  const told = garbage.map(({ what, verdict, reason }, i) => {
    const found = logged.get(seqs[i] ?? 0)?.verdict;
    const fits = found?.kind === verdict && reason.test(found.reason ?? "");
    return fits ? "as expected" : `${what}: ${found?.kind} ${found?.reason}`;
  });
  expect(told).toEqual(garbage.map(() => "as expected"));

  const human = fabric.heddle("events");
  expect(human.code).toBe(0);
  expect(human.out).not.toContain(ESCAPE);
  const lines = human.out.split("\n");
  expect(lines).toHaveLength(logged.size);
  garbage.forEach(({ verdict, what }, i) => {
    const line = lines.find((text) => Number(text.trim().split(" ")[0]) === seqs[i]) ?? "";
    expect(verdict === "accepted" || line.includes(`[${verdict}: `) ? what : line).toBe(what);
  });

  const count = garbage.filter(({ verdict }) => verdict === "quarantined").length;
  const { netns, subnetFile } = fabric.host("h1");
  const log = ["--nats", fabric.dev.nats, "--fabric", fabric.dev.fabric, "--node", "h1"];
  const doctor = [...fabric.command("doctor", "h1"), ...log, "--subnet-file", subnetFile];
  const examined = fabric.exec(netns, doctor);
  expect(examined.out).toMatch(new RegExp(`^warn  log-quarantine +${count} records refused`, "m"));
  expect(examined.out).not.toContain(ESCAPE);
}

/** What `writer`'s credentials could store to harm `victim`, and what must become of it. */
function garbageBy(writer: AgentStatus, victim: AgentStatus): readonly Garbage[] {
  const report = "heddle.default.node.h1.report";
  const lease = "heddle.default.node.h1.lease";
  const member = "heddle.default.node.h1.member";
  const admin = "heddle.default.admin.config";
  const held = { epoch: 1, subnets: victim.lease?.subnets ?? [] };
  const own = { epoch: 1, subnets: writer.lease?.subnets ?? [], ttlSeconds: 86_400 };
  const quarantined = "quarantined";
  return [
    { what: "bad JSON", subject: report, payload: "{", verdict: quarantined, reason: /not JSON/ },
    { what: "nothing", subject: report, payload: "", verdict: quarantined, reason: /not JSON/ },
    {
      what: "no UTF-8",
      subject: report,
      payload: new Uint8Array([0x22, 0xff, 0xfe, 0xc0, 0x22]),
      verdict: quarantined,
      reason: /not UTF-8/,
    },
    said("unknown type", report, "Hacked", {}, /unknown event type "Hacked"/),
    said("inherited name", report, "constructor", {}, /unknown event type "constructor"/),
    said("terminal escape", report, `${ESCAPE}[2J${ESCAPE}]0;x`, {}, /unknown event type/),
    {
      what: "future version",
      subject: member,
      payload: JSON.stringify({ type: "NodeLeft", v: 99, id: "f", data: {} }),
      verdict: quarantined,
      reason: /NodeLeft version 99 is newer/,
    },
    said("another's departure", member, "NodeLeft", { node: "h2", reason: "" }, /speaks for .*h2/),
    said("another's release", lease, "LeaseReleased", { node: "h2", ...held }, /speaks for .*h2/),
    said("wrong subject", "heddle.default.x", "HostRecovered", { node: "h1" }, /speaks for/),
    said("premature expiry", lease, "LeaseExpired", { node: "h1", owner: "h2", ...held }, /premat/),
    said("bad configuration", admin, "FabricConfigured", { config: {} }, /Network/),
    said("deep configuration", admin, "FabricConfigured", { config: deep(5000) }, /deep/),
    said("missing field", member, "NodeJoined", { node: "h1" }, /instance/),
    {
      what: "1 MB",
      subject: report,
      payload: "x".repeat(1_000_000),
      verdict: quarantined,
      reason: /payload of 1000000 bytes/,
    },
    ...claims(lease, held, own),
  ];
}

/** Claims by a stranger who joined, to whom nothing was granted, and by a host that has a lease. */
function claims(lease: string, held: object, own: object): readonly Garbage[] {
  const report = "heddle.default.node.h1.report";
  return [
    accepted("stranger", "heddle.default.node.ghost.member", "NodeJoined", ghost()),
    said(
      "claim outside the pool",
      "heddle.default.node.ghost.lease",
      "LeaseClaimed",
      { node: "ghost", epoch: 1, subnets: ["192.0.2.0/24"], ttlSeconds: 3600 },
      /192\.0\.2\.0\/24 is not in the pool/,
    ),
    {
      ...said(
        "taken subnet",
        "heddle.default.node.ghost.lease",
        "LeaseClaimed",
        {
          node: "ghost",
          ...held,
          ttlSeconds: 3600,
        },
        /belongs to h2/,
      ),
      verdict: "void",
    },
    {
      ...said("duplicate", lease, "LeaseClaimed", { node: "h1", ...own }, /already/),
      verdict: "void",
    },
    accepted("escapes in text", report, "HostDegraded", {
      node: "h1",
      problems: [`${ESCAPE}[31mred\r\n\u202e`],
    }),
  ];
}

function said(what: string, subject: string, type: string, data: object, reason: RegExp): Garbage {
  const payload = JSON.stringify({ type, v: 1, id: `garbage ${what}`, data });
  return { what, subject, payload, verdict: "quarantined", reason };
}

function accepted(what: string, subject: string, type: string, data: object): Garbage {
  return { ...said(what, subject, type, data, /^$/), verdict: "accepted" };
}

function deep(levels: number): unknown {
  return JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);
}

function ghost(): object {
  return {
    node: "ghost",
    instance: "none",
    publicIp: "198.18.0.99",
    publicIpv6: null,
    vtepMac: null,
    vtepMacV6: null,
    backend: "vxlan",
    underlay: { dev: "eth0", mtu: 1500, local: null, localv6: null, onlink: [] },
    ipMasq: false,
    capabilities: [],
    version: "0",
  };
}

function raw(subject: string, payload: Uint8Array | string): RawMessage {
  return { subject, base64: Buffer.from(payload).toString("base64") };
}
