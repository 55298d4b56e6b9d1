// Two hosts joined by a tunnel, on the real kernel:
//
//   pod1 ── h1 ──(eth0, underlay)── h2 ── pod2     pods 10.5.1.2, 10.5.2.2, fd05:1::2, fd05:2::2
//            └── heddle0 ┄┄ UDP ┄┄ heddle0 ──┘
//
// The device gets its address, MTU and route here with `ip`, as the reconciler would do it.

import { Tunnel, type TunnelOptions } from "../../src/ffi/tunnel.ts";
import type { TunnelPeer } from "../../src/ffi/tunnel-encode.ts";
import { joinByVeth, makeNetns, type Netns } from "./netns.ts";
import { make, nativeTool } from "./tunnel-build.ts";

export const PORT = 8285;

export interface TunnelHost {
  readonly name: string;
  readonly host: Netns;
  readonly pod: Netns;
  readonly number: 1 | 2;
  tunnel: Tunnel;
}

export interface TunnelPair {
  readonly one: TunnelHost;
  readonly two: TunnelHost;
  [Symbol.dispose](): void;
}

export interface PairOptions {
  readonly features?: Readonly<Record<string, boolean>>;
  readonly underlay?: 4 | 6;
  readonly queues?: number;
  readonly capabilities?: readonly string[];
  readonly mtuBytes?: number;
  /** Joins the hosts' underlays; by default with a plain wire. */
  readonly wire?: (one: Netns, two: Netns) => Disposable;
}

export const podIp = (number: 1 | 2, family: 4 | 6 = 4) =>
  family === 4 ? `10.5.${number}.2` : `fd05:${number}::2`;

export const underlayIp = (number: 1 | 2, family: 4 | 6 = 4) =>
  family === 4 ? `198.18.0.${number}` : `fd18::${number}`;

export const ownOf = (number: 1 | 2) => [`10.5.${number}.0/24`, `fd05:${number}::/64`];

export function peerOf(number: 1 | 2, options: PairOptions = {}): TunnelPeer {
  return {
    name: `h${number}`,
    subnets: ownOf(number),
    endpoint: { ip: underlayIp(number, options.underlay), port: PORT },
    capabilities: options.capabilities ?? ["offload", "encap"],
  };
}

export function tunnelOptions(host: Netns, number: 1 | 2, options: PairOptions): TunnelOptions {
  const family = options.underlay ?? 4;
  return {
    device: "heddle0",
    netns: host.path,
    mtuBytes: options.mtuBytes ?? (family === 4 ? 1472 : 1452),
    queues: options.queues ?? 1,
    listen: [{ ip: underlayIp(number, family), port: PORT }],
    features: options.features ?? {},
  };
}

/** What the reconciler does once the device is there. */
export function dressDevice(host: Netns, number: 1 | 2, mtuBytes: number): void {
  host.ip(`addr replace 10.5.${number}.0/32 dev heddle0`);
  host.ip(`addr replace fd05:${number}::/128 dev heddle0 nodad`);
  host.ip(`link set heddle0 mtu ${mtuBytes} up`);
  host.ip("route replace 10.5.0.0/16 dev heddle0");
  host.ip("route replace fd05::/16 dev heddle0");
}

function makeHost(number: 1 | 2): { host: Netns; pod: Netns } {
  const host = makeNetns();
  const pod = makeNetns();
  joinByVeth(
    { netns: host, dev: "pod", addresses: [`10.5.${number}.1/24`, `fd05:${number}::1/64`] },
    {
      netns: pod,
      dev: "eth0",
      addresses: [`${podIp(number)}/24`, `${podIp(number, 6)}/64`],
    },
  );
  pod.ip(`route add default via 10.5.${number}.1`);
  pod.ip(`-6 route add default via fd05:${number}::1`);
  host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  return { host, pod };
}

/** The underlay end of a host. */
export function underlayEnd(netns: Netns, number: 1 | 2) {
  return { netns, dev: "eth0", addresses: [`198.18.0.${number}/24`, `fd18::${number}/64`] };
}

function plainWire(one: Netns, two: Netns): Disposable {
  joinByVeth(underlayEnd(one, 1), underlayEnd(two, 2));
  return { [Symbol.dispose]: () => undefined };
}

/** Both hosts with open tunnels that know each other. */
export function makeTunnelPair(options: PairOptions = {}): TunnelPair {
  make("build/libheddle.so");
  const made: Disposable[] = [];
  const pair = { [Symbol.dispose]: () => disposeAll(made) };
  try {
    const [one, two] = [makeHost(1), makeHost(2)];
    made.push(one.host, one.pod, two.host, two.pod);
    made.unshift((options.wire ?? plainWire)(one.host, two.host));
    const open = (number: 1 | 2, { host, pod }: { host: Netns; pod: Netns }): TunnelHost => {
      const wanted = tunnelOptions(host, number, options);
      const tunnel = Tunnel.open(wanted);
      const end: TunnelHost = { name: `h${number}`, host, pod, number, tunnel };
      made.unshift({ [Symbol.dispose]: () => end.tunnel[Symbol.dispose]() });
      dressDevice(host, number, wanted.mtuBytes);
      tunnel.setPeers([peerOf(number === 1 ? 2 : 1, options)], ownOf(number));
      return end;
    };
    return { one: open(1, one), two: open(2, two), ...pair };
  } catch (error) {
    pair[Symbol.dispose]();
    throw error;
  }
}

function disposeAll(items: readonly Disposable[]): void {
  for (const item of items) item[Symbol.dispose]();
}

/** What the receiver of a transfer found, byte by byte. */
export type Received = Partial<
  Record<"bytes" | "datagrams" | "late" | "repeated" | "wrong", number>
>;

/**
 * Sends from pod 1 to pod 2 and returns what arrived. `args`: BYTES, or DATAGRAMS SIZE EVERY. The
 * receiver's port is free again afterwards.
 */
export async function transfer(
  pair: TunnelPair,
  kind: "tcp" | "udp",
  args: string,
  family: 4 | 6 = 4,
): Promise<Received> {
  const tool = nativeTool("transfer");
  const at = [podIp(2, family), "7000"];
  const receiver = pair.two.pod.spawn([tool, `${kind}-receive`, ...at]);
  const lines = receiver.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    if ((await lines.read()).done) {
      throw new Error(`${kind}-receive ${at.join(" ")}: ${await receiver.stderr.text()}`);
    }
    const sender = pair.one.pod.spawn([tool, `${kind}-send`, ...at, ...args.split(" ")]);
    await sender.exited;
    return JSON.parse((await lines.read()).value ?? "{}") as Received;
  } finally {
    receiver.kill();
    await receiver.exited;
  }
}

/**
 * Without it every device hands packets to whichever core sends at the moment, and a thread that
 * moves overtakes itself: the namespaces' doing, on plain routes too.
 */
export function keepOrder({ one, two }: TunnelPair, ...between: readonly Netns[]): void {
  const queues = "/sys/class/net/*/queues/rx-*/rps_cpus";
  for (const netns of [one.host, one.pod, two.host, two.pod, ...between]) {
    netns.exec(["sh", "-ec", `for queue in ${queues}; do echo 1 >$queue; done`]);
  }
}

/** A feature that is off in both directions of the kernel path, so that the threads do the work. */
export const USERSPACE = { "kernel-encap": false, "kernel-decap": false } as const;

/** Waits until `find` finds something; a test's own time limit ends a wait in vain. */
export async function untilValue<T>(find: () => T | null): Promise<T> {
  for (;;) {
    const found = find();
    if (found !== null) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export type TunnelChild = Bun.Subprocess<"ignore", "pipe", "inherit">;

/**
 * A persistent tunnel with its peer, in a process of its own, to be killed. `library` is another
 * build of the packet path.
 */
export async function openInChild(
  { host, number }: Pick<TunnelHost, "host" | "number">,
  options: PairOptions = {},
  library?: string,
): Promise<TunnelChild> {
  const other = number === 1 ? 2 : 1;
  const wanted: TunnelOptions = {
    ...tunnelOptions(host, number, options),
    features: { ...options.features, persist: true },
    peers: [peerOf(other, options)],
    own: ownOf(number),
  };
  const script = `
    import { Tunnel } from ${JSON.stringify(`${import.meta.dir}/../../src/ffi/tunnel.ts`)};
    Tunnel.open(${JSON.stringify(wanted)});
    process.stdout.write("open\\n");
    setInterval(() => {}, 1000);`;
  const env = { ...process.env, ...(library === undefined ? {} : { HEDDLE_NATIVE: library }) };
  const child = Bun.spawn([process.execPath, "-e", script], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    env,
  } as const);
  for await (const _ of child.stdout) break;
  dressDevice(host, number, wanted.mtuBytes);
  return child;
}
