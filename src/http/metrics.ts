// What a server counts while it works. The rest of what /metrics says is looked up at the scrape
// (metrics-server.ts). Labels come from the routes and never from what a client sent, so their
// number is bounded.

import Counter from "prom-client/lib/counter.js";
import Histogram from "prom-client/lib/histogram.js";
import Registry from "prom-client/lib/registry.js";

export interface RequestFigures {
  /** Pattern of the route, or "none". */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly ms: number;
}

/** delivered: the receiver took it. failed: it will be tried again. dead: it will not. */
export type DeliveryOutcome = "delivered" | "failed" | "dead";

export interface Metrics {
  request(figures: RequestFigures): void;
  streamOpened(): void;
  streamClosed(): void;
  /** An attempt to deliver to a webhook has ended. */
  delivery(outcome: DeliveryOutcome): void;
  readonly streamClients: number;
  /** What was counted, in the text format. */
  text(): Promise<string>;
}

/** Around what answers take: 2 ms from memory, 200 ms of folding, 30 s of waiting. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

export function createMetrics(): Metrics {
  const registers = [new Registry()];
  let streamClients = 0;
  const requests = new Counter({
    name: "heddle_http_requests_total",
    help: "Requests that were answered, by route and status",
    labelNames: ["method", "route", "status"],
    registers,
  });
  const durations = new Histogram({
    name: "heddle_http_request_duration_seconds",
    help: "Time until the answer began, by route",
    labelNames: ["method", "route"],
    buckets: SECONDS,
    registers,
  });
  const deliveries = new Counter({
    name: "heddle_webhook_deliveries_total",
    help: "Attempts to deliver to webhooks; failed: will be tried again, dead: will not",
    labelNames: ["outcome"],
    registers,
  });
  // A rate of what was never there is not zero but nothing, on which no alert can stand.
  for (const outcome of ["delivered", "failed", "dead"]) deliveries.inc({ outcome }, 0);
  return {
    request: ({ route, method, status, ms }) => {
      requests.inc({ method, route, status: String(status) });
      durations.observe({ method, route }, ms / 1000);
    },
    streamOpened: () => {
      streamClients++;
    },
    streamClosed: () => {
      streamClients--;
    },
    delivery: (outcome) => deliveries.inc({ outcome }),
    get streamClients() {
      return streamClients;
    },
    text: async () => (await Promise.all(registers.map((one) => one.metrics()))).join("\n"),
  };
}
