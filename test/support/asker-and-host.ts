// Two connections to one server: an asker who may do anything, and a host that may say and hear
// what its rights name, as the server authenticates it.

import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { until } from "./fabric.ts";
import { TestNats } from "./nats.ts";

const CONNECT_MS_MAX = 10_000;

export interface AskerAndHost {
  readonly nats: TestNats;
  readonly asker: LogConnection;
  readonly host: LogConnection;
}

/** Of fabric `t`, the host as user h1; `close` of `nats` ends it all. */
export async function askerAndHost(rights: {
  readonly publish: string;
  readonly subscribe: string;
}): Promise<AskerAndHost> {
  const nats = await TestNats.start(`
authorization {
  users: [
    { user: admin, password: "x" }
    { user: h1, password: "x", permissions: {
        publish: { allow: ["${rights.publish}", "$JS.API.INFO"] }
        subscribe: { allow: ["_INBOX_h1.>", "${rights.subscribe}"] } } }
  ]
}`);
  const as = (user: string): string => nats.url.replace("//", `//${user}:x@`);
  const asker = await nats.connect("t", { servers: as("admin") });
  const host = await nats.connect("t", { servers: as("h1"), inboxPrefix: "_INBOX_h1" });
  await until("connected", CONNECT_MS_MAX, () => asker.connected() && host.connected());
  return { nats, asker, host };
}
