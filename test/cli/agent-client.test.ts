// Talking to an agent that does not talk as an agent does.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askAgent } from "../../src/cli/agent-client.ts";
import { EXIT_FAILED, EXIT_UNREACHABLE, Failure } from "../../src/cli/failure.ts";

let dir: string;
let answer: () => Response;
let server: ReturnType<typeof Bun.serve>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
  server = Bun.serve({ unix: join(dir, "s"), fetch: () => answer() });
});
afterEach(async () => {
  await server.stop(true);
  await rm(dir, { recursive: true, force: true });
});

async function failureOf(timeoutMs?: number): Promise<[number, string]> {
  const path = join(dir, "s");
  const error = await askAgent(path, "GET", "/v1/status", timeoutMs).catch((why: unknown) => why);
  if (!(error instanceof Failure)) throw error;
  return [error.exitCode, error.message.replace(path, "SOCKET")];
}

test("an answer that does not come to its end is none", async () => {
  const begun = new ReadableStream({
    start: (body) => body.enqueue(new TextEncoder().encode("{")),
  });
  answer = () => new Response(begun);
  expect(await failureOf(100)).toEqual([
    EXIT_UNREACHABLE,
    "agent at SOCKET cannot be reached: it does not answer",
  ]);
});

test("what is not JSON comes from somebody else", async () => {
  answer = () => new Response("<html>");
  expect(await failureOf()).toEqual([
    EXIT_UNREACHABLE,
    "agent at SOCKET cannot be reached: who answers there is no agent",
  ]);
});

test("a refusal is told in the agent's words", async () => {
  answer = () => Response.json({ detail: "the agent is not frozen" }, { status: 409 });
  expect(await failureOf()).toEqual([EXIT_FAILED, "agent: the agent is not frozen"]);
});
