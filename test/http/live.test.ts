// GET /v1/hosts: what the server holds of the status board.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { LogError } from "../../src/events/log.ts";
import type { StatusBoard } from "../../src/events/status-board.ts";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";

const LIMIT_MS = 5000;

let hook: TestHook;
let lists = 0;
/** Cuts the server off from the board. */
let cut = new AbortController();

interface Progress {
  readonly node: string;
  readonly applied: number;
  readonly silent: boolean;
}

function entry(applied: number): Uint8Array {
  const peers = { applied: 0, pending: 0, failed: 0 };
  const seq = { applied, head: applied };
  return new TextEncoder().encode(
    JSON.stringify({ state: "ready", seq, peers, problems: [], version: "test" }),
  );
}

/** The real board, counted and cut off at will. */
function counted(board: StatusBoard): StatusBoard {
  return {
    publish: (node, status) => board.publish(node, status),
    list: async () => {
      lists++;
      if (cut.signal.aborted) throw new LogError("unreachable", "cut off");
      return await board.list();
    },
    async *watch(signal) {
      yield* board.watch(AbortSignal.any([signal, cut.signal]));
      if (!signal.aborted) throw new LogError("unreachable", "cut off");
    },
  };
}

beforeAll(async () => {
  hook = await TestHook.start();
});

afterAll(() => hook.close());

test("each host's last word is answered from what is held, the board is read once", async () => {
  await hook.connection.status.publish("h2", entry(4));
  await hook.connection.status.publish("h1", entry(3));
  await hook.connection.status.publish("stranger", new TextEncoder().encode("no JSON"));
  const { tcp } = await hook.another({ board: counted(hook.connection.status) });
  const hosts = () => hook.get<Progress[]>("/v1/hosts", {}, tcp.url);
  await until("read", LIMIT_MS, async () => {
    return (await hook.ask("/v1/hosts", {}, tcp.url)).status === 200;
  });
  const shown = (await hosts()).map(({ node, applied, silent }) => ({ node, applied, silent }));
  expect(shown).toEqual([
    { node: "h1", applied: 3, silent: false },
    { node: "h2", applied: 4, silent: false },
  ]);
  await hook.connection.status.publish("h1", entry(5));
  await until("heard", LIMIT_MS, async () => (await hosts())[0]?.applied === 5);
  expect(lists).toBe(1);

  cut.abort();
  await until("stale", LIMIT_MS, async () => {
    const answer = await hook.ask("/v1/hosts", {}, tcp.url);
    return answer.status === 200 && answer.headers.get("heddle-stale") === "cut off";
  });
  expect((await hosts())[0]?.applied).toBe(5);
  await hook.connection.status.publish("h1", entry(6));
  cut = new AbortController();
  await until("heard again", LIMIT_MS, async () => (await hosts())[0]?.applied === 6);
});
