import { expect, test } from "bun:test";
import { TestNats } from "../support/nats.ts";
import { makeStream } from "../support/nats-admin.ts";

const HOSTS = ["h1", "h2", "h3"];
const LISTS = 300;
const AGE_NANOS = 100_000_000;
const ENTRY = new TextEncoder().encode("{}");

test("a board that is written to all the time is listed completely, without a stall", async () => {
  const nats = await TestNats.start();
  const stop = new AbortController();
  try {
    const reader = await nats.connect("busy");
    await reader.createStream(1);
    const writer = await nats.connect("busy");
    for (const host of HOSTS) await writer.status.publish(host, ENTRY);
    const writing = (async () => {
      while (!stop.signal.aborted) {
        for (const host of HOSTS) await writer.status.publish(host, ENTRY);
      }
    })();
    for (let i = 0; i < LISTS; i++) {
      // A list that stalls ends the test by its time limit.
      const listed = await reader.status.list();
      expect(listed.map(({ node }) => node)).toEqual(HOSTS);
    }
    stop.abort();
    await writing;
  } finally {
    stop.abort();
    await nats.close();
  }
});

test("a board whose hosts come and go is listed without a stall, and forgets them", async () => {
  const nats = await TestNats.start();
  const stop = new AbortController();
  try {
    await makeStream(nats.url, {
      name: "HEDDLE_BRIEF_STATUS",
      subjects: ["heddle-status.brief.*"],
      max_msgs_per_subject: 1,
      max_age: AGE_NANOS,
      duplicate_window: AGE_NANOS,
    });
    const reader = await nats.connect("brief");
    await reader.createStream(1);
    const writer = await nats.connect("brief");
    const writing = (async () => {
      for (let i = 0; !stop.signal.aborted; i++) await writer.status.publish(`ci-${i}`, ENTRY);
    })();
    let most = 0;
    for (let i = 0; i < LISTS; i++) {
      most = Math.max(most, (await reader.status.list()).length);
    }
    expect(most).toBeGreaterThan(0);
    stop.abort();
    await writing;
    while ((await reader.status.list()).length > 0) await new Promise(setImmediate);
  } finally {
    stop.abort();
    await nats.close();
  }
});
