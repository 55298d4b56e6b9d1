// The table that is kept for the next process: it is found again only by the same process in all
// but its number, only whole, and never after the table has changed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createTunnelKeeper,
  decodeTable,
  encodeTable,
  type KeptFor,
  readTable,
} from "../../src/agent/tunnel-file.ts";
import { hostLink } from "../support/kernel-model.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";

const WHOM: KeptFor = {
  argv: ["agent", "--fabric", "t", "--nats", "nats://u:secret@n"],
  env: { HEDDLE_NODE: "h1", PATH: "/bin" },
  hostName: "h1",
  version: "1",
  instance: "boot-1",
};
const table = {
  link: hostLink("heddle0", { kind: "tun", alias: "heddle t" }),
  peers: [
    {
      ...{ dev: "heddle0", name: "h2", subnets: ["10.5.2.0/24"], ip: "198.18.0.2", port: 8285 },
      capabilities: ["offload"],
    },
  ],
};
const of = { fabric: "t", node: "h1" };
const text = encodeTable(WHOM, { ...table, ...of });

describe("a kept table", () => {
  test("is read by the same process, whatever else is in its environment", () => {
    expect(decodeTable(WHOM, text)).toEqual({ ...table, ...of });
    const elsewhere = { ...WHOM, env: { ...WHOM.env, PATH: "/sbin", TERM: "x" } };
    expect(decodeTable(elsewhere, text)).toEqual({ ...table, ...of });
    const takeover = { ...WHOM, argv: [...WHOM.argv, "--takeover"] };
    expect(encodeTable(takeover, { ...table, ...of })).toBe(text);
  });

  test.each([
    ["command line", { argv: [...WHOM.argv, "--iface", "eth1"] }],
    ["environment", { env: { HEDDLE_NODE: "h2" } }],
    ["environment, with one more", { env: { ...WHOM.env, HEDDLE_IFACE: "eth1" } }],
    ["host name", { hostName: "h2" }],
    ["version", { version: "2" }],
    ["boot or namespace", { instance: "boot-2" }],
  ])("is nobody's with another %s", (_what, other) => {
    expect(decodeTable({ ...WHOM, ...other }, text)).toBeNull();
  });

  test("is none when a byte is another, or missing, or all of them", () => {
    for (let at = 0; at < text.length; at++) {
      const byte = text[at] === "0" ? "1" : "0";
      expect(decodeTable(WHOM, text.slice(0, at) + byte + text.slice(at + 1))).toBeNull();
      expect(decodeTable(WHOM, text.slice(0, at))).toBeNull();
    }
  });

  test("tells nothing of the command line", () => {
    expect(text).not.toContain("secret");
  });
});

describe("the keeper of a table", () => {
  let dir: string;
  let clock: ManualClock;
  let troubles: string[];
  let keep: ReturnType<typeof createTunnelKeeper>;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "heddle-table-"));
    clock = manualClock();
    troubles = [];
    const onFailure = (reason: string): void => void troubles.push(reason);
    keep = createTunnelKeeper({ clock, stateDir: join(dir, "state"), onFailure }, WHOM, of);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const kept = () => readTable(join(dir, "state"), WHOM);

  async function rest(): Promise<void> {
    await clock.advance(300);
  }

  test("writes it when it rests, for nobody else to read", async () => {
    keep(table);
    expect(kept()).toBeNull();
    await rest();
    expect(kept()).toEqual({ ...table, ...of });
    expect(statSync(join(dir, "state", "tunnel.json")).mode & 0o777).toBe(0o600);
  });

  test("takes it away the moment that it changes", async () => {
    keep(table);
    await rest();
    keep({ ...table, peers: [] });
    expect(existsSync(join(dir, "state", "tunnel.json"))).toBe(false);
    await rest();
    expect(kept()?.peers).toEqual([]);
  });

  test("keeps none while none may be gone on with", async () => {
    keep(table);
    await rest();
    keep(table);
    keep(null);
    await rest();
    expect(kept()).toBeNull();
    expect(troubles).toEqual([]);
  });

  test("says what is in its way", async () => {
    writeFileSync(join(dir, "state"), "");
    keep(table);
    await rest();
    expect(troubles).not.toEqual([]);
    rmSync(join(dir, "state"));
    mkdirSync(join(dir, "state"));
    keep(table);
    await rest();
    expect(kept()).toEqual({ ...table, ...of });
  });
});
