// A stream of pings between containers that a test wants to see through unharmed. It goes on
// until it is stopped, and then tells how many packets went out and how many came back.

import type { TestFabric } from "./fabric.ts";

export interface Counted {
  readonly sent: number;
  readonly lost: number;
}

export interface PingStream {
  /** Ends the stream and counts. */
  stop(): Promise<Counted>;
  /** Counts when the stream has come to its own end. */
  readonly ended: Promise<Counted>;
  running(): boolean;
}

/** From one host's container to another's; `args` are ping's: how fast and how many. */
export function pingStream(
  fabric: TestFabric,
  { from, to, args }: { readonly from: string; readonly to: string; readonly args: string },
): PingStream {
  const { ipv4, ipv6 } = fabric.container(to);
  const target = ipv4 ?? ipv6 ?? "";
  const command = ["ping", "-n", "-q", ...args.split(" "), target];
  const ping = fabric.spawn(fabric.container(from).netns, command);
  const text = new Response(ping.stdout).text();
  const ended = ping.exited.then(async () => counted(await text));
  return {
    ended,
    running: () => ping.exitCode === null,
    stop: async () => {
      // ping's own way to end early with its summary.
      ping.kill("SIGINT");
      return await ended;
    },
  };
}

function counted(text: string): Counted {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
  if (sent === undefined || received === undefined) throw new Error(`ping said: ${text}`);
  return { sent: Number(sent), lost: Number(sent) - Number(received) };
}
