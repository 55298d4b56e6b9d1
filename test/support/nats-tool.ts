// What a stranger with a NATS client could do to the log, as a program of its own, because the
// server of a fabric listens inside a network namespace. TestFabric starts it there.
//
//   bun nats-tool.ts URL publish                 JSON lines { subject, base64, id? } from stdin
//   bun nats-tool.ts URL delete-stream NAME
//   bun nats-tool.ts URL make-stream NAME SUBJECT

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { deleteStream, makeStream } from "./nats-admin.ts";

export interface RawMessage {
  readonly subject: string;
  readonly base64: string;
  readonly id?: string;
}

/** Prints the sequence under which each message was stored. */
async function publish(servers: string): Promise<void> {
  const nc = await connect({ servers });
  try {
    const js = jetstream(nc);
    for (const line of (await Bun.stdin.text()).split("\n")) {
      const { subject, base64, id } = JSON.parse(line) as RawMessage;
      const options = id === undefined ? {} : { msgID: id };
      const ack = await js.publish(subject, Buffer.from(base64, "base64"), options);
      process.stdout.write(`${ack.seq}\n`);
    }
  } finally {
    await nc.close();
  }
}

if (import.meta.main) {
  const [url = "", verb = "", name = "", subject = ""] = process.argv.slice(2);
  if (verb === "publish") await publish(url);
  else if (verb === "delete-stream") await deleteStream(url, name);
  else if (verb === "make-stream") await makeStream(url, { name, subjects: [subject] });
  else throw new Error(`unknown verb ${verb}`);
}
