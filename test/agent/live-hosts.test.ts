import { expect, test } from "bun:test";
import { type BoardHost, FRESH_MS, LiveHosts } from "../../src/agent/live-hosts.ts";

const BEAT_MS = 1000;

function host(node: string, heardMs: number, state: BoardHost["state"] = "ready"): BoardHost {
  return { node, applied: 1, state, problems: [], heardMs };
}

test("hosts that come and go are not kept, one that stays is", () => {
  const hosts = new LiveHosts();
  let most = 0;
  for (let nowMs = 0; nowMs < 100 * FRESH_MS; nowMs += BEAT_MS) {
    hosts.note(host(`ci-${nowMs}`, nowMs), nowMs);
    hosts.note(host("stays", nowMs), nowMs);
    most = Math.max(most, hosts.size);
  }
  expect(most).toBe(FRESH_MS / BEAT_MS + 2);
  expect(hosts.at(200 * FRESH_MS)).toEqual([]);
});

test("a host on its way out, and an entry that was old when it came, are not kept", () => {
  const hosts = new LiveHosts();
  const nowMs = FRESH_MS + 1;
  hosts.note(host("stays", nowMs), nowMs);
  hosts.note(host("old", 0), nowMs);
  hosts.note(host("h1", nowMs), nowMs);
  hosts.note(host("h1", nowMs, "stopping"), nowMs);
  expect(hosts.size).toBe(1);
});
