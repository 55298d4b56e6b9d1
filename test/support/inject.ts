// Datagrams that a host sends under any source address and port (native/test/inject.c).

import { concat } from "./packet.ts";
import { PORT, type TunnelPair, underlayIp } from "./tunnel.ts";
import { nativeTool } from "./tunnel-build.ts";

export interface Sender {
  readonly source: string;
  readonly port: number;
}

const OPTIONS = { stdout: "pipe" } as const;

function command({ two }: TunnelPair, { source, port }: Sender, family: 4 | 6): string[] {
  const target = [underlayIp(1, family), String(PORT)];
  return [
    "ip",
    "netns",
    "exec",
    two.host.name,
    nativeTool("inject"),
    source,
    String(port),
    ...target,
  ];
}

function stream(payloads: readonly Uint8Array[]): Uint8Array {
  const parts = payloads.flatMap((payload) => {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, payload.length, true);
    return [length, payload];
  });
  return concat(...parts);
}

function sentOf(text: string): number {
  return (JSON.parse(text) as { readonly sent: number }).sent;
}

/** Sends from host two to the tunnel of host one; returns how many went out. */
export function inject(pair: TunnelPair, from: Sender, payloads: readonly Uint8Array[]): number {
  const family = from.source.includes(":") ? 6 : 4;
  const child = Bun.spawnSync(command(pair, from, family), { stdin: stream(payloads), ...OPTIONS });
  return sentOf(child.stdout.toString());
}

/** The same payloads again and again, so many a second, until `count` went out. */
export async function injectSteadily(
  pair: TunnelPair,
  from: Sender,
  payloads: readonly Uint8Array[],
  { perSecond, count }: { readonly perSecond: number; readonly count: number },
): Promise<number> {
  const family = from.source.includes(":") ? 6 : 4;
  const rate = [String(perSecond), String(count)];
  const stdin = stream(payloads);
  const child = Bun.spawn([...command(pair, from, family), ...rate], { stdin, ...OPTIONS });
  return sentOf(await new Response(child.stdout).text());
}
