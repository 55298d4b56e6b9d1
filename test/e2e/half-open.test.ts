// Clients that connect and do not ask: silent ones, ones that stop in the middle of a request, ones
// that send a header a second. The server ends them, and answers others meanwhile.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { TestHook } from "../support/hook.ts";
import { Stopwatch } from "../support/stopwatch.ts";

/** Bun's own deadline for a whole request header is 10 s. */
const LIMIT_MS = 20_000;
const BEGIN = "GET /healthz HTTP/1.1\r\nHost: x\r\n";

/** Resolves when the server ends the connection; the test's own limit ends a wait in vain. */
function ended(url: string, first: string, drip: string | null): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    const dripping = setInterval(() => {
      if (drip !== null) socket.write(drip);
    }, 1000);
    let isEnded = false;
    socket.on("connect", () => socket.write(first));
    socket.on("end", () => {
      isEnded = true;
    });
    // A reset ends it too.
    socket.on("error", () => {
      isEnded = true;
    });
    socket.on("close", () => {
      clearInterval(dripping);
      resolve(isEnded);
    });
  });
}

test("connections that never ask are ended, and others are answered meanwhile", async () => {
  const hook = await TestHook.start();
  try {
    const watch = new Stopwatch();
    const many = Array.from({ length: 200 }, () => ended(hook.url, "", null));
    const slow = [ended(hook.url, BEGIN, null), ended(hook.url, BEGIN, "X-More: 1\r\n")];
    expect((await hook.ask("/v1/peers")).status).toBe(200);
    const all = await Promise.all([...many, ...slow]);
    expect(watch.freeMs()).toBeLessThan(LIMIT_MS);
    expect(all.filter((isEnded) => !isEnded)).toEqual([]);
    expect((await hook.ask("/v1/peers")).status).toBe(200);
  } finally {
    await hook.close();
  }
});
