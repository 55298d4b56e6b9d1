import { expect, test } from "bun:test";
import { TestNats } from "../support/nats.ts";

const HOSTS = ["h1", "h2", "h3"];
const LISTS = 300;
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
}, 30_000);
