// The status board on JetStream: a stream that keeps one message per subject, one subject per host.

import { LogError, type Recorded } from "./log.ts";
import { PullReader, untilAborted } from "./log-jetstream-pull.ts";
import type { FabricStreams } from "./log-jetstream-stream.ts";
import { isNodeName, nameToken } from "./name.ts";
import type { NatsLink } from "./nats-connect.ts";
import type { HostStatus, StatusBoard } from "./status-board.ts";

/** Whatever was still to come when the list was begun may have expired instead. */
const LOOK_AGAIN_MS = 500;

export function statusBoard(link: NatsLink, names: FabricStreams, fabric: string): StatusBoard {
  const prefix = `heddle-status.${fabric}.`;
  return {
    publish: (node, status) => publish(link, prefix, node, status),
    list: () => list(link, names, prefix),
    watch: (signal) => watch(link, names, prefix, signal),
  };
}

async function publish(
  link: NatsLink,
  prefix: string,
  node: string,
  status: Uint8Array,
): Promise<void> {
  if (!isNodeName(node)) throw new LogError("refused", `not a node name: ${node}`);
  await link.ask(({ js }) => js.publish(prefix + nameToken(node), status));
}

async function list(
  link: NatsLink,
  names: FabricStreams,
  prefix: string,
): Promise<readonly HostStatus[]> {
  const byNode = new Map<string, HostStatus>();
  const board = async () => (await link.ask(({ jsm }) => jsm.streams.info(names.status))).state;
  const reader = await open(link, names);
  try {
    let state = await board();
    let seq = 0;
    // The server's count of what is left is too high for ever once a message has been superseded
    // or has expired before its delivery (2.9.10: 3 of 20 lists of a busy board never ended). A
    // host whose message was superseded is delivered with its successor, so hosts can be counted;
    // one that expired is not, so past the last message there was they are counted anew.
    const isWhole = (): boolean =>
      reader.behind === 0 ||
      state.messages === 0 ||
      byNode.size >= (state.num_subjects ?? Number.POSITIVE_INFINITY);
    while (!isWhole()) {
      const records = await reader.next(AbortSignal.timeout(LOOK_AGAIN_MS));
      for (const record of records ?? []) {
        const status = statusOf(record, prefix);
        byNode.set(status.node, status);
        seq = record.seq;
      }
      if (records === null || seq >= state.last_seq) state = await board();
    }
  } finally {
    reader.close();
  }
  return [...byNode.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}

async function* watch(
  link: NatsLink,
  names: FabricStreams,
  prefix: string,
  signal: AbortSignal,
): AsyncIterable<HostStatus> {
  const reader = await untilAborted(signal, () => open(link, names));
  if (reader === null) return;
  try {
    for (;;) {
      const batch = await reader.next(signal);
      if (batch === null) return;
      for (const record of batch) yield statusOf(record, prefix);
    }
  } finally {
    reader.close();
  }
}

function open(link: NatsLink, names: FabricStreams): Promise<PullReader> {
  return PullReader.open(link, {
    stream: names.status,
    from: null,
    limit: null,
    contiguous: false,
  });
}

function statusOf({ subject, timeMs, payload }: Recorded, prefix: string): HostStatus {
  // A dot cannot be in a subject token and "_" cannot be in a node name.
  return { node: subject.slice(prefix.length).replaceAll("_", "."), timeMs, payload };
}
