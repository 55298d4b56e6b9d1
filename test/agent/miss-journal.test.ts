// What is said in the log about entries on demand.

import { expect, test } from "bun:test";
import { createMissJournal } from "../../src/agent/miss-journal.ts";
import { eventData } from "../../src/events/event-schema.ts";

const [A, B] = ["10.5.1.0/24", "10.5.2.0/24"];
const peerOf = (subnet: string): string => `peer of ${subnet}`;
const nothing: ReadonlySet<string> = new Set();

test("says who came with the time it took, then who went, then nothing", () => {
  const journal = createMissJournal("h1");
  journal.answered(A, 80);
  const come = journal.next([A, B], nothing, peerOf);
  expect(come).toEqual({
    type: "NeighborMissed",
    data: {
      node: "h1",
      answered: [
        { subnet: A, peer: `peer of ${A}`, waitedUs: 80 },
        { subnet: B, peer: `peer of ${B}`, waitedUs: null },
      ],
      unknown: [],
      suppressed: 0,
    },
  });
  if (come !== null) journal.published(come);
  expect(journal.next([A, B], new Set([A, B]), peerOf)).toBe(null);
  const gone = { type: "NeighborAged", data: { node: "h1", subnets: [B] } };
  expect(journal.next([A], new Set([A, B]), peerOf)).toEqual(gone as never);
});

test("loses nothing while the log is away and says nothing twice", () => {
  const journal = createMissJournal("h1");
  journal.unknown("10.5.9.9");
  const first = journal.next([A], nothing, peerOf);
  expect(journal.next([A], nothing, peerOf)).toEqual(first);
  // Meanwhile it is asked again; only that is left when the log has the first.
  journal.unknown("10.5.9.9");
  journal.unknown("10.5.9.8");
  if (first !== null) journal.published(first);
  expect(journal.next([A], new Set([A]), peerOf)).toMatchObject({
    data: {
      answered: [],
      unknown: [
        { address: "10.5.9.9", count: 1 },
        { address: "10.5.9.8", count: 1 },
      ],
    },
  });
});

test("a flood fits in one event that the schema accepts, and is counted", () => {
  const journal = createMissJournal("h1");
  const subnets = Array.from({ length: 1000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
  for (let i = 0; i < 5000; i++) journal.unknown(`10.9.${i >> 8}.${i & 255}`);
  const logged = new Set<string>();
  const events: string[] = [];
  for (;;) {
    const draft = journal.next(subnets, logged, peerOf);
    if (draft?.type !== "NeighborMissed") break;
    expect(eventData.NeighborMissed.safeParse(draft.data).success).toBe(true);
    events.push(`${draft.data.answered.length} ${draft.data.unknown.length}`);
    for (const { subnet } of draft.data.answered) logged.add(subnet);
    journal.published(draft);
  }
  expect(events).toEqual(["256 32", "256 0", "256 0", "232 0"]);
  expect(journal.counts()).toEqual({ answered: 0, unknown: 5000, suppressed: 4968 });
  expect(journal.next(subnets, logged, peerOf)).toBe(null);
});
