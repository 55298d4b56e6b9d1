import { expect, test } from "bun:test";
import { createLogNews } from "../../src/agent/log-news.ts";
import type { TailView } from "../../src/agent/tail.ts";

function newsOf() {
  const lines: string[] = [];
  const line = (level: string) => (text: string, fields?: object) => {
    lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
  };
  const logger = {
    ...{ debug: () => undefined, info: line("info"), warn: line("warn"), error: line("error") },
  };
  const frozen: string[] = [];
  const news = createLogNews(logger, (damage) => frozen.push(damage));
  const base = { seq: 1, head: 9, connected: true, caughtUp: false, damage: null };
  const rest = { followedSinceMs: null, trouble: null, server: null };
  const tell = (part: Partial<TailView>) => news.tell({ ...base, ...rest, ...part });
  return { lines, frozen, tell };
}

test("each batch of a log that is read to its end is news only at the first and at the end", () => {
  const { tell } = newsOf();
  const batches = [{}, { seq: 3 }, { seq: 8 }, { seq: 9, caughtUp: true }];
  expect(batches.map(tell)).toEqual([true, false, false, true]);
  // From then on the host acts on each.
  expect([tell({ seq: 10, caughtUp: true }), tell({ seq: 11, caughtUp: true })]).toEqual([
    true,
    true,
  ]);
});

test.each([
  ["a lost connection", { connected: false }],
  ["damage", { damage: "gone" }],
])("%s is news, and so is reading on after it", (_, part) => {
  const { tell } = newsOf();
  expect([{}, { seq: 3 }, part, part, { seq: 4 }, { seq: 5 }].map(tell)).toEqual([
    ...[true, false, true, true],
    ...[true, false],
  ]);
});

test("damage is told once for each reason, and its end", () => {
  const { tell, lines, frozen } = newsOf();
  for (const damage of [null, "gone", "gone", "rewritten", null, null]) tell({ damage });
  expect(frozen).toEqual(["gone", "rewritten"]);
  expect(lines).toEqual([
    'error frozen {"seq":1,"reason":"gone"}',
    'error frozen {"seq":1,"reason":"rewritten"}',
    'info log is good again {"seq":1}',
  ]);
});
