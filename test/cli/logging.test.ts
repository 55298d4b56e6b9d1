// Logging is configured once per process, so each case runs in one of its own.

import { expect, test } from "bun:test";
import { lines } from "./heddle.ts";

const SRC = new URL("../../src/cli/", import.meta.url).pathname;

async function logged(level: string, format: string, calls: string): Promise<readonly string[]> {
  const script = `
    const { openLogger } = await import("${SRC}logging.ts");
    const { standardOutput } = await import("${SRC}output.ts");
    const fixed = { node: "h1", fabric: "f" };
    const log = openLogger(standardOutput(), { level: "${level}", format: "${format}", fixed });
    ${calls}`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect(out).toBe("");
  return lines(err);
}

test("JSON lines have the fixed fields first and everything on one line", async () => {
  const calls = `log.warn("drift healed", { noun: "route", found: "a\\nb\\u001b[31m" });`;
  const [line = "", ...rest] = await logged("info", "json", calls);
  expect(rest).toEqual([]);
  const { ts, ...fields } = JSON.parse(line);
  expect(new Date(ts).toISOString()).toBe(ts);
  expect(fields).toEqual({
    level: "warning",
    msg: "drift healed",
    node: "h1",
    fabric: "f",
    noun: "route",
    found: "a\nb\u001b[31m",
  });
  expect(Object.keys(JSON.parse(line)).slice(0, 3)).toEqual(["ts", "level", "msg"]);
});

test("human lines quote what would run together and print no control character", async () => {
  const fields = `{ seq: 7, reason: "two words", none: null, esc: "\\u001b[31m" }`;
  const calls = `log.info("ready {x}", ${fields});`;
  const [line = ""] = await logged("info", "human", calls);
  expect(line.replace(/^\S+ /, "")).toBe(
    'INFO    ready {x} seq=7 reason="two words" esc=\\u001b[31m',
  );
});

test("lower levels are left out", async () => {
  const calls = `log.debug("d"); log.info("i"); log.warn("w"); log.error("e");`;
  expect((await logged("warning", "human", calls)).length).toBe(2);
  expect((await logged("debug", "human", calls)).length).toBe(4);
});
