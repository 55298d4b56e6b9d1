import { expect, test } from "bun:test";
import {
  createEventPages,
  type EventRow,
  FILTERED_MAX,
  type Filtered,
  followedBy,
  hasRoom,
  precededBy,
} from "../../src/web/event-pages.ts";

function row(seq: number): EventRow {
  const verdict = { kind: "accepted" };
  return { seq, time: "", subject: "", type: "NodeLeft", data: {}, verdict };
}

/** Pages over a log of `last` events; `asked` holds the first sequence of each page loaded. */
function pagesOf(last: number) {
  const asked: number[] = [];
  let changed = Promise.withResolvers<void>();
  const pages = createEventPages({
    load: async (from, count) => {
      asked.push(from);
      const size = Math.max(0, Math.min(count, last - from + 1));
      return Array.from({ length: size }, (_, index) => row(from + index));
    },
    onChange: () => {
      changed.resolve();
      changed = Promise.withResolvers<void>();
    },
  });
  return { asked, pages, loaded: () => changed.promise };
}

test("an event comes with its page, which is asked for once", async () => {
  const { pages, asked, loaded } = pagesOf(450);
  const coming = loaded();
  expect(pages.at(201)).toBeUndefined();
  expect(pages.at(400)).toBeUndefined();
  await coming;
  expect(pages.at(201)?.seq).toBe(201);
  expect(pages.at(400)?.seq).toBe(400);
  expect(asked).toEqual([201]);
});

test("an event that came live is in its place", () => {
  const { pages, asked } = pagesOf(0);
  pages.add(row(77));
  expect(pages.at(77)?.seq).toBe(77);
  expect(asked).toEqual([]);
});

test("pages that were not looked at for long are forgotten and come again", async () => {
  const { pages, asked, loaded } = pagesOf(100_000);
  for (let page = 0; page < 100; page += 1) {
    const coming = loaded();
    pages.at(page * 200 + 1);
    await coming;
  }
  expect(pages.at(99 * 200 + 1)?.seq).toBe(99 * 200 + 1);
  const again = loaded();
  expect(pages.at(1)).toBeUndefined();
  await again;
  expect(asked.filter((from) => from === 1)).toHaveLength(2);
});

test("a page that fails to load is not asked for again at every drawing", async () => {
  let asked = 0;
  const pages = createEventPages({
    load: () => {
      asked += 1;
      return Promise.reject(new Error("the server is down"));
    },
    // As the list does: what changed is drawn again, and what is drawn is looked for.
    onChange: () => void pages.at(1),
  });
  pages.at(1);
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
  expect(asked).toBe(1);
});

const all = (...seqs: number[]): Filtered => ({ rows: seqs.map(row), older: null });
const seqsOf = ({ rows }: Filtered) => rows.map(({ seq }) => seq);

test("of events found and events that came live meanwhile, each is in the list once", () => {
  const live = [row(4), row(5)];
  expect(seqsOf(followedBy(all(1, 4), live))).toEqual([1, 4, 5]);
  expect(followedBy(all(), live)).toEqual(all(4, 5));
});

test("the list does not grow for as long as events come: the oldest go, and are known to", () => {
  const full = all(...Array.from({ length: FILTERED_MAX }, (_, i) => i + 1));
  expect(followedBy(full, []).older).toBeNull();
  const list = followedBy(full, [row(FILTERED_MAX + 1), row(FILTERED_MAX + 2)]);
  expect(list.rows).toHaveLength(FILTERED_MAX);
  expect([list.rows[0]?.seq, list.rows.at(-1)?.seq]).toEqual([3, FILTERED_MAX + 2]);
  expect(list.older).toBe(2);
  expect(hasRoom(list)).toBe(false);
});

test("pages of older events go before the list until there are no more", () => {
  const newest = precededBy(all(), { events: [row(9), row(7)], next: 4 });
  expect([seqsOf(newest), newest.older, hasRoom(newest)]).toEqual([[7, 9], 4, true]);
  const live = followedBy(newest, [row(12)]);
  const whole = precededBy(live, { events: [row(4), row(2)], next: null });
  expect([seqsOf(whole), whole.older, hasRoom(whole)]).toEqual([[2, 4, 7, 9, 12], null, false]);
});
