// Clients that connect and do not ask: silent ones, ones that stop in the middle of a request, ones
// that send a header a second. The server ends them, and answers others meanwhile.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";

/** Bun's own deadline for a whole request header is 10 s. */
const LIMIT_MS = 20_000;
const BEGIN = "GET /healthz HTTP/1.1\r\nHost: x\r\n";

/** A connection that never asks for anything; `isOver` once the server has ended it. */
function idler(
  url: string,
  first: string,
  drip: string | null,
): { isOver(): boolean; close(): void } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let isOver = false;
  const dripping = setInterval(() => {
    if (drip !== null && !isOver) socket.write(drip);
  }, 1000);
  socket.on("connect", () => socket.write(first));
  // A reset ends it too.
  for (const event of ["end", "error"] as const) {
    socket.on(event, () => {
      isOver = true;
    });
  }
  return {
    isOver: () => isOver,
    close: () => {
      clearInterval(dripping);
      socket.destroy();
    },
  };
}

test("connections that never ask are ended, and others are answered meanwhile", async () => {
  const hook = await TestHook.start();
  const idlers = Array.from({ length: 200 }, () => idler(hook.url, "", null));
  idlers.push(idler(hook.url, BEGIN, null), idler(hook.url, BEGIN, "X-More: 1\r\n"));
  try {
    expect((await hook.ask("/v1/peers")).status).toBe(200);
    await until("all ended", LIMIT_MS, () => idlers.every(({ isOver }) => isOver()));
    expect((await hook.ask("/v1/peers")).status).toBe(200);
  } finally {
    for (const { close } of idlers) close();
    await hook.close();
  }
});
