// Pings between containers of a fabric that a test wants to see through unharmed.

import type { TestFabric } from "./fabric.ts";
import { Pinger } from "./pinger.ts";

interface Ends {
  readonly from: string;
  readonly to: string;
}

export interface Counted {
  readonly sent: number;
  readonly lost: number;
}

export interface PingFlood {
  readonly ended: Promise<Counted>;
  running(): boolean;
}

/** From one host's container to another's until it is stopped; `args` are ping's: how fast. */
export function pingStream(
  fabric: TestFabric,
  { from, to, args }: Ends & { readonly args: string },
): Pinger {
  return Pinger.start(fabric.container(from).netns, target(fabric, to), args);
}

/** So many, as fast as they come back. */
export function pingFlood(
  fabric: TestFabric,
  { from, to, packets }: Ends & { readonly packets: number },
): PingFlood {
  const command = ["ping", "-n", "-q", "-f", "-c", `${packets}`, target(fabric, to)];
  const ping = fabric.spawn(fabric.container(from).netns, command);
  const text = new Response(ping.stdout).text();
  return {
    ended: ping.exited.then(async () => counted(await text)),
    running: () => ping.exitCode === null,
  };
}

function target(fabric: TestFabric, to: string): string {
  const { ipv4, ipv6 } = fabric.container(to);
  return ipv4 ?? ipv6 ?? "";
}

function counted(text: string): Counted {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
  if (sent === undefined || received === undefined) throw new Error(`ping said: ${text}`);
  return { sent: Number(sent), lost: Number(sent) - Number(received) };
}
