// Somebody with the server's disk changes one byte of an old record, and its checksum with it. To
// NATS nothing has happened: same stream, same sequences, same times, same last record. Every host
// freezes, and an auditor is told which record it was.

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { PROGRAM, type Ran, type TestFabric, until, withFabric } from "../support/fabric.ts";
import { tamper } from "../support/nats-block.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("a rewritten log");
const HOSTS = ["h1", "h2"];
const STREAM = "HEDDLE_DEFAULT";
const LIMIT_MS = 15_000;

interface Verified {
  readonly ok: boolean;
  readonly signedTo: number;
}

test.skipIf(!canRun)(
  "one byte changed far behind freezes every host and is named by the auditor",
  () => withFabric({ hosts: 2 }, signedAndChanged),
);

async function signedAndChanged(fabric: TestFabric): Promise<void> {
  const { dir } = fabric.host("h1");
  const [key, pub, kept] = [`${dir}/audit.key`, `${dir}/audit.pub`, `${dir}/kept.checkpoint`];
  const made = offline(fabric, "audit", "keygen", key);
  expect(made.code).toBe(0);
  writeFileSync(pub, made.out);
  await fabric.init({ Network: "10.5.0.0/16" });
  const { switch: netns, nats } = fabric.dev;
  const serve = [...PROGRAM, "serve", "--nats", nats, "--http", "127.0.0.1:0"];
  const server = fabric.spawn(netns, [...serve, "--audit-key", key]);
  try {
    await noticeOneByte(fabric, pub, kept);
  } finally {
    server.kill();
    await server.exited;
  }
}

async function noticeOneByte(fabric: TestFabric, pub: string, kept: string): Promise<void> {
  for (const name of HOSTS) fabric.start(name);
  await fabric.ready(HOSTS, 1, LIMIT_MS);
  const { seq } = fabric.events().find(({ type }) => type === "LeaseClaimed") ?? { seq: 0 };
  // So that the changed record is neither the last one nor under the last checkpoint alone.
  for (const subnet of ["10.5.200.0/24", "10.5.201.0/24"]) {
    expect(fabric.heddle("lease", "reserve", subnet).code).toBe(0);
  }
  const head = fabric.head();
  // Or more: a host that was repaired says so up to a second later.
  await until("all is signed", LIMIT_MS, () => {
    const { code, out } = fabric.heddle("audit", "checkpoint", "--key", pub);
    writeFileSync(kept, `${out}\n`);
    return code === 0 && Number(out.split("\n")[1]) >= head;
  });
  await fabric.snapshots(HOSTS, head);
  const found = verify(fabric, pub, kept);
  expect(found).toMatchObject({ ok: true });
  expect(found.signedTo).toBeGreaterThanOrEqual(head);
  const kernels = HOSTS.map((name) => fabric.kernel(name));

  await change(fabric, seq, '"epoch":1', '"epoch":7');
  await frozen(fabric);
  expect(verify(fabric, pub, kept)).toMatchObject({ ok: false, seq, through: seq });
  await change(fabric, seq, '"epoch":7', '"epoch":1');
  await fabric.ready(HOSTS, 1, LIMIT_MS);
  expect(verify(fabric, pub, kept)).toMatchObject({ ok: true });

  // A host that starts on the changed log knows the other one from its snapshot.
  await change(fabric, seq, '"epoch":1', '"epoch":7');
  await fabric.end("h2", "SIGKILL");
  fabric.start("h2");
  await frozen(fabric);
  expect(HOSTS.map((name) => fabric.kernel(name))).toEqual(kernels);
}

async function change(fabric: TestFabric, seq: number, find: string, put: string): Promise<void> {
  await fabric.log.stop();
  tamper(fabric.log.storeDir, STREAM, { seq, find, put });
  await fabric.log.start();
}

function verify(fabric: TestFabric, pub: string, kept: string): Verified {
  const exported = fabric.heddle("audit", "export");
  const file = `${pub}.ndjson`;
  writeFileSync(file, exported.out);
  const ran = offline(fabric, "audit", "verify", file, "--key", pub, "--kept", kept, "--json");
  return JSON.parse(ran.out) as Verified;
}

function offline(fabric: TestFabric, ...args: string[]): Ran {
  return fabric.exec(fabric.dev.switch, [...PROGRAM, ...args]);
}

async function frozen(fabric: TestFabric): Promise<void> {
  await until("all frozen", LIMIT_MS, async () => {
    const found = await Promise.all(HOSTS.map((name) => fabric.status(name)));
    return found.every((status) => /^the log was rewritten: /.test(status?.log.frozen ?? ""));
  });
}
