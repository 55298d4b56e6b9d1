// The fabric that tests of output look at: two nodes, a foreign peer, a claim that lost, garbage.

import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { history } from "../support/history.ts";
import { store } from "./heddle.ts";

/** Sequence of the last record of `storeSample`. */
export const SAMPLE_HEAD = 11;

export async function storeSample(connection: LogConnection, fabric: string): Promise<void> {
  const story = history(fabric)
    .config({ Network: "10.5.0.0/16" })
    .join("h1", { publicIpv6: null })
    .claim("h1", ["10.5.3.0/24"])
    .join("h2", { publicIpv6: null })
    .claim("h2", ["10.5.7.0/24"])
    .append(
      {
        type: "LeaseClaimed",
        data: { node: "h1", epoch: 2, subnets: ["10.5.7.0/24"], ttlSeconds: 60 },
      },
      "void",
    )
    .peer("lb1", "10.9.0.0/24", "198.18.9.9", "02:00:00:00:00:09")
    .append({
      type: "LeaseReserved",
      data: { subnet: "10.5.50.0/24", node: "h5", note: "rack 5" },
    })
    .leave("h2");
  await store(connection, story);
  const node = `heddle.${fabric}.node.h3.member`;
  const garbage = [new TextEncoder().encode("\u001b[31mred\u0007"), Uint8Array.of(0xff, 0xfe, 1)];
  for (const [i, payload] of garbage.entries()) {
    await connection.log.append({ subject: node, payload, id: `garbage-${i}` });
  }
}
