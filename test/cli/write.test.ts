// Commands that append: what they store, what they print, and when they store nothing.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestNats } from "../support/nats.ts";
import { storeSample } from "./fabric.ts";
import { heddle } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
});

afterAll(() => nats.close());

const CONFIG = '{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}';

test("init makes the log, configures the fabric once, and says when nothing changed", async () => {
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "fresh" };
  const first = await heddle(["init", "--config", "-"], { env, stdin: CONFIG });
  expect(first).toEqual({ code: 0, out: "fabric fresh: configured at sequence 1\n", err: "" });
  const again = await heddle(["init", "--config", "-", "--json"], { env, stdin: CONFIG });
  expect(again).toEqual({ code: 0, out: '{"fabric":"fresh","seq":1,"changed":false}\n', err: "" });
  const other = CONFIG.replace("10.5", "10.6");
  const changed = await heddle(["init", "--config", "-"], { env, stdin: other });
  expect(changed.out).toBe("fabric fresh: configured at sequence 2\n");
  const connection = await nats.connect("fresh");
  expect((await connection.log.info()).lastSeq).toBe(2);
});

test("a refused configuration leaves no stream behind", async () => {
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "never" };
  const ran = await heddle(["init", "--config", "-"], { env, stdin: '{"Network":"10.5.0.1/16"}' });
  expect(ran.code).toBe(2);
  expect(ran.err).toStartWith("heddle: standard input: Network: ");
  const connection = await nats.connect("never");
  await expect(connection.log.info()).rejects.toMatchObject({ kind: "missing" });
});

test("peers and leases by hand become events, and repeating one changes nothing", async () => {
  const connection = await nats.connect("hand");
  await connection.createStream(1);
  await storeSample(connection, "hand");
  const env = { HEDDLE_NATS: nats.url, HEDDLE_FABRIC: "hand" };
  const run = async (line: string): Promise<string> => {
    const { code, out, err } = await heddle(line.split(" "), { env });
    expect({ line, code, err }).toEqual({ line, code: 0, err: "" });
    return out;
  };
  const add = "peer add lb2 --subnet 10.9.1.0/24 --public-ip 198.18.9.8";
  expect(await run(add)).toBe("peer lb2: sequence 12\n");
  expect(await run(add)).toBe("peer lb2: unchanged\n");
  expect(await run(`${add} --vtep-mac 02:00:00:00:00:08 --json`)).toBe(
    '{"seq":13,"changed":true}\n',
  );
  expect(await run("peer remove lb2")).toBe("peer lb2: sequence 14\n");
  expect(await run("lease reserve 10.5.60.0/24 --for h6")).toBe("lease reserve: sequence 15\n");
  expect(await run("lease reserve 10.5.60.0/24 --for h6")).toBe("lease reserve: unchanged\n");
  expect(await run("lease revoke 10.5.60.0/24")).toBe("lease revoke: sequence 16\n");
  expect(await run("lease release --node h1")).toBe("lease release: sequence 17\n");
  expect(await run("events --from 12")).not.toMatch(/void|quarantined/);
});
