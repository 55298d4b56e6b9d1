// A Kernel with a userspace tunnel in it: the device, its MTU, addresses and routes are the
// kernel's, the sockets and the peers are those of the packet path in this process, and for the
// loop both are one. The packet path is loaded when a plan first wants a TUN; who never does needs
// no compiler. A tunnel that died is not there: it is observed as missing and made again. The
// device outlives the process, with its routes and addresses and the programs of the fast path.
//
// A tunnel that was opened forwards nothing before the peers of its round are in the table: what
// waits in a predecessor's descriptors would be dropped, and its programs replaced by such that
// know nobody.

import type { Ip } from "../events/address.ts";
import type { Tunnel, TunnelOptions } from "../ffi/tunnel.ts";
import type { TunnelFds } from "../ffi/tunnel-encode.ts";
import type { HostFacts, Kernel, Scope, Watch } from "./kernel.ts";
import { type KernelState, keyOf, type Link, type TunPeer } from "./kernel-state.ts";
import { tunnelOptions, tunnelPeers } from "./kernel-tunnel-options.ts";
import { closedReason, isNotBuilt, statusOf } from "./kernel-tunnel-report.ts";
import type { Op, OpOutcome } from "./op.ts";
import type { TunnelStatus, TunnelView } from "./tunnel-status.ts";

/** What is used of a Tunnel. */
export type TunnelHandle = Pick<
  Tunnel,
  | "setPeers"
  | "refresh"
  | "start"
  | "adopted"
  | "fds"
  | "counters"
  | "features"
  | "capabilities"
  | "deviceError"
  | "close"
>;

/** What is used of the Tunnel class. */
export interface PacketPath {
  open(options: TunnelOptions): TunnelHandle;
  /** Takes away what a process left for the device in the kernel. */
  forget(device: string, netns: string | null): void;
}

export interface TunnelKernelOptions {
  readonly netns: string | null;
  /** Loads the packet path; throws when it is not built. */
  readonly load: () => Promise<PacketPath>;
  /** Descriptors of a predecessor, for the first tunnel that is opened. */
  readonly offer?: TunnelFds;
  /** Told what is open from now on; null when a tunnel is not wanted any more. */
  readonly onDescriptors?: (fds: TunnelFds | null) => void;
  /** A tunnel that carries already, with the peers that it was told. */
  readonly running?: TunnelTable & { readonly tunnel: TunnelHandle };
  /** Told the table that packets go by from now on; null while that is not certain. */
  readonly onTable?: (table: TunnelTable | null) => void;
}

export interface TunnelTable {
  readonly link: Link;
  readonly peers: readonly TunPeer[];
}

interface Running {
  readonly tunnel: TunnelHandle;
  readonly link: Link;
  readonly started: boolean;
}

const DONE: OpOutcome = { ok: true };

export class TunnelKernel implements Kernel, TunnelView {
  readonly #inner: Kernel;
  readonly #options: TunnelKernelOptions;
  #running: Running | null = null;
  #offer: TunnelFds | undefined;
  /** As last set; kept over a new opening of the tunnel, so that packets flow at once. */
  #peers: ReadonlyMap<string, TunPeer> = new Map();

  constructor(inner: Kernel, options: TunnelKernelOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#offer = options.offer;
    if (options.running === undefined) return;
    const { tunnel, link, peers } = options.running;
    this.#running = { tunnel, link, started: false };
    this.#peers = new Map(peers.map((peer) => [keyOf.peer(peer), peer]));
    options.onDescriptors?.(tunnel.fds());
  }

  /** Leaves the device, its routes, addresses and programs for a successor. */
  close(): void {
    this.#running?.tunnel.close();
    this.#running = null;
  }

  async observe(scope: Scope): Promise<KernelState> {
    this.#start();
    // The look may come from a changed route; by which device a peer is reached is not in the plan.
    this.#alive()?.tunnel.refresh();
    const found = await this.#inner.observe(scope);
    const running = this.#alive();
    const link = running === null ? undefined : found.links.get(running.link.name);
    if (running === null || link?.kind !== "tun") return found;
    const { port, tun } = running.link;
    const whole: Link = { ...link, port, ...(tun === undefined ? {} : { tun }) };
    const links = new Map(found.links).set(link.name, whole);
    return { ...found, links, peers: new Map(this.#peers) };
  }

  apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const foreign = ops.every((op) => op.noun !== "peer" && !isTun(op));
    return foreign ? this.#inner.apply(ops) : this.#applyEach(ops);
  }

  async #applyEach(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const outcomes: OpOutcome[] = [];
    for (let at = 0; at < ops.length; ) {
      const first = ops[at];
      if (first?.noun === "link" && isTun(first)) {
        outcomes.push(await this.#applyLink(first));
        at += 1;
        continue;
      }
      const isPeer = first?.noun === "peer";
      let end = at + 1;
      for (; end < ops.length; end += 1) {
        const op = ops[end];
        if (op === undefined || isTun(op) || (op.noun === "peer") !== isPeer) break;
      }
      const run = ops.slice(at, end);
      const done = isPeer ? this.#applyPeers(run) : await this.#inner.apply(run);
      for (const outcome of done) outcomes.push(outcome);
      at = end;
    }
    return outcomes;
  }

  watch(onChange: () => void): Watch {
    return this.#inner.watch(onChange);
  }

  facts(): Promise<HostFacts> {
    return this.#inner.facts();
  }

  routeTo(ip: Ip): Promise<string | null> {
    return this.#inner.routeTo(ip);
  }

  capabilities(): readonly string[] | null {
    const running = this.#alive();
    // Before the start it is not known which programs the kernel takes.
    return running?.started === true ? running.tunnel.capabilities() : null;
  }

  status(): TunnelStatus | null {
    const running = this.#alive();
    return running === null ? null : statusOf(running.link, running.tunnel);
  }

  #alive(): Running | null {
    const running = this.#running;
    return running?.tunnel.deviceError() === null ? running : null;
  }

  async #applyLink(op: Extract<Op, { noun: "link" }>): Promise<OpOutcome> {
    // Where another kind takes the name, what is there goes with its tunnel.
    if (op.verb === "del" || op.object.kind !== "tun") return await this.#end(op);
    // A foreign device of our name must not be opened: the kernel adapter tells which one is ours.
    if (op.found !== null) {
      const dressed = await this.#dress(op);
      if (!dressed.ok) return dressed;
    }
    const opened = await this.#open(op.object, op.found !== null);
    return opened.ok ? await this.#dress(op) : opened;
  }

  async #end(op: Extract<Op, { noun: "link" }>): Promise<OpOutcome> {
    this.close();
    if (op.verb === "del") this.#peers = new Map();
    this.#options.onDescriptors?.(null);
    this.#options.onTable?.(null);
    try {
      // Those on the underlay would not go with the device.
      (await this.#options.load()).forget(op.key, this.#options.netns);
    } catch (error) {
      // Who has no packet path has left none in the kernel.
      if (!isNotBuilt(error)) return failed(error);
    }
    return await this.#dress(op);
  }

  async #dress(op: Op): Promise<OpOutcome> {
    const [outcome] = await this.#inner.apply([op]);
    return outcome ?? { ok: false, errno: 0, message: "the kernel gave no answer" };
  }

  async #open(link: Link, isThere: boolean): Promise<OpOutcome> {
    try {
      const running = this.#alive();
      if (running === null || !isThere || mustReopen(link, running.link)) {
        this.close();
        this.#options.onTable?.(null);
        const path = await this.#options.load();
        const tunnel = path.open(tunnelOptions(link, this.#options.netns, this.#offer));
        this.#running = { tunnel, link, started: false };
        this.#offer = undefined;
        this.#adopt(this.#running);
        this.#options.onDescriptors?.(this.#running.tunnel.fds());
      } else {
        this.#running = { ...running, link };
      }
      this.#push(this.#peers);
      return DONE;
    } catch (error) {
      return failed(error);
    }
  }

  /**
   * Peers that a predecessor's programs carry are there, until the log is known not to want them.
   */
  #adopt({ tunnel, link: { name: dev } }: Running): void {
    if (this.#peers.size > 0) return;
    this.#peers = new Map(
      tunnel.adopted().map(({ name, subnets, endpoint, capabilities }) => {
        return [name, { dev, name, subnets, ...endpoint, capabilities }];
      }),
    );
  }

  #start(): void {
    const running = this.#alive();
    if (running === null || running.started) return;
    running.tunnel.start();
    this.#running = { ...running, started: true };
    this.#tell(this.#peers);
  }

  /** All ops as one replacement of the table. */
  #applyPeers(ops: readonly Op[]): OpOutcome[] {
    const peers = new Map(this.#peers);
    for (const op of ops) {
      if (op.noun !== "peer") continue;
      if (op.verb === "set") peers.set(op.key, op.object);
      else peers.delete(op.key);
    }
    try {
      if (this.#running !== null) this.#push(peers);
      else if (ops.some(({ verb }) => verb === "set")) throw new Error("no tunnel is open");
      this.#peers = peers;
      this.#start();
      return ops.map(() => DONE);
    } catch (error) {
      return ops.map(() => failed(error));
    }
  }

  #push(peers: ReadonlyMap<string, TunPeer>): void {
    const running = this.#running;
    if (running === null) return;
    running.tunnel.setPeers(tunnelPeers(peers.values()), running.link.tun?.subnets ?? []);
    if (running.started) this.#tell(peers);
  }

  #tell(peers: ReadonlyMap<string, TunPeer>): void {
    const link = this.#running?.link;
    if (link !== undefined) this.#options.onTable?.({ link, peers: [...peers.values()] });
  }
}

function isTun(op: Op): boolean {
  if (op.noun !== "link") return false;
  return op.object.kind === "tun" || op.found?.kind === "tun";
}

/** Sockets and the greatest packet are fixed when the tunnel is opened. */
function mustReopen(want: Link, have: Link): boolean {
  return (
    want.name !== have.name ||
    want.mtu !== have.mtu ||
    want.port !== have.port ||
    want.tun?.listen.join() !== have.tun?.listen.join()
  );
}

function failed(error: unknown): OpOutcome {
  return { ok: false, errno: errnoOf(error), message: closedReason(error) };
}

function errnoOf(error: unknown): number {
  if (!(error instanceof Error) || !("errno" in error)) return 0;
  return typeof error.errno === "number" ? error.errno : 0;
}
