import { expect, test } from "bun:test";
import { history } from "../support/history.ts";
import { TestNats } from "../support/nats.ts";
import { spawnHeddle, store, timeless } from "./heddle.ts";

/** Reads lines of a running command as they come. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + new TextDecoder().decode(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

test("events --follow goes on where it stood after the server was away", async () => {
  const nats = await TestNats.start();
  const args = ["events", "--follow", "--nats", nats.url, "--fabric", "live"];
  let child: ReturnType<typeof spawnHeddle> | null = null;
  try {
    const connection = await nats.connect("live");
    await connection.createStream(1);
    const story = history("live").config({ Network: "10.5.0.0/16" }).join("h1");
    await store(connection, story);
    child = spawnHeddle(args);
    const lines = linesOf(child.stdout);
    const next = async (): Promise<string> => timeless((await lines.next()).value ?? "the end");
    expect(await next()).toContain("     1  <t>  FabricConfigured");
    expect(await next()).toContain("     2  <t>  NodeJoined");
    await nats.stop();
    await nats.startAgain();
    const again = await nats.connect("live");
    for (const record of story.claim("h1", ["10.5.3.0/24"]).records.slice(2)) {
      await again.log.append({ ...record, id: "claim" });
    }
    expect(await next()).toContain("     3  <t>  LeaseClaimed      h1          10.5.3.0/24");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(await next()).toBe("the end");
  } finally {
    child?.kill("SIGKILL");
    await nats.close();
  }
});
