// A Kernel with a userspace tunnel in it: the device, its MTU, addresses and routes are the
// kernel's, the sockets and the peers are those of the packet path in this process, and for the
// loop both are one. The packet path is loaded when a plan first wants a TUN; who never does needs
// no compiler. A tunnel that died is not there: it is observed as missing and made again. The
// device outlives the process, with its routes and addresses.

import type { Ip } from "../events/address.ts";
import type { Tunnel, TunnelOptions } from "../ffi/tunnel.ts";
import type { TunnelPeer } from "../ffi/tunnel-encode.ts";
import type { HostFacts, Kernel, Scope, Watch } from "./kernel.ts";
import type { KernelState, Link, TunPeer } from "./kernel-state.ts";
import { closedReason, statusOf } from "./kernel-tunnel-report.ts";
import type { Op, OpOutcome } from "./op.ts";
import type { TunnelStatus, TunnelView } from "./tunnel-status.ts";

/** What is used of a Tunnel. */
export type TunnelHandle = Pick<
  Tunnel,
  "setPeers" | "counters" | "features" | "capabilities" | "deviceError" | "close"
>;

export interface TunnelKernelOptions {
  readonly netns: string | null;
  /** Loads the packet path; throws when it is not built. */
  readonly load: () => Promise<(options: TunnelOptions) => TunnelHandle>;
}

interface Running {
  readonly tunnel: TunnelHandle;
  readonly link: Link;
}

const DONE: OpOutcome = { ok: true };

export class TunnelKernel implements Kernel, TunnelView {
  readonly #inner: Kernel;
  readonly #options: TunnelKernelOptions;
  #running: Running | null = null;
  /** As last set; kept over a new opening of the tunnel, so that packets flow at once. */
  #peers: ReadonlyMap<string, TunPeer> = new Map();

  constructor(inner: Kernel, options: TunnelKernelOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  /** Leaves the device, its routes and its addresses for a successor. */
  close(): void {
    this.#running?.tunnel.close();
    this.#running = null;
  }

  async observe(scope: Scope): Promise<KernelState> {
    const found = await this.#inner.observe(scope);
    const running = this.#alive();
    const link = running === null ? undefined : found.links.get(running.link.name);
    if (running === null || link?.kind !== "tun") return found;
    const { port, tun } = running.link;
    const whole: Link = { ...link, port, ...(tun === undefined ? {} : { tun }) };
    const links = new Map(found.links).set(link.name, whole);
    return { ...found, links, peers: new Map(this.#peers) };
  }

  async apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
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
      outcomes.push(...(isPeer ? this.#applyPeers(run) : await this.#inner.apply(run)));
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
    return running === null ? null : running.tunnel.capabilities();
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
    if (op.verb === "del") {
      this.close();
      this.#peers = new Map();
      return await this.#dress(op);
    }
    if (op.object.kind !== "tun") {
      // Another kind takes the name; what is there goes with its tunnel.
      this.close();
      return await this.#dress(op);
    }
    // A foreign device of our name must not be opened: the kernel adapter tells which one is ours.
    if (op.found !== null) {
      const dressed = await this.#dress(op);
      if (!dressed.ok) return dressed;
    }
    const opened = await this.#open(op.object, op.found !== null);
    return opened.ok ? await this.#dress(op) : opened;
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
        const open = await this.#options.load();
        this.#running = { tunnel: open(this.#optionsFor(link)), link };
      } else {
        this.#running = { ...running, link };
        this.#push(this.#peers);
      }
      return DONE;
    } catch (error) {
      return { ok: false, errno: errnoOf(error), message: closedReason(error) };
    }
  }

  #optionsFor({ name, mtu, port, tun }: Link): TunnelOptions {
    return {
      device: name,
      netns: this.#options.netns,
      mtuBytes: mtu,
      listen: (tun?.listen ?? []).map((ip) => ({ ip, port })),
      features: { persist: true },
      peers: rowsOf(this.#peers),
      own: tun?.subnets ?? [],
    };
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
      return ops.map(() => DONE);
    } catch (error) {
      const message = closedReason(error);
      return ops.map(() => ({ ok: false, errno: errnoOf(error), message }));
    }
  }

  #push(peers: ReadonlyMap<string, TunPeer>): void {
    this.#running?.tunnel.setPeers(rowsOf(peers), this.#running.link.tun?.subnets ?? []);
  }
}

function rowsOf(peers: ReadonlyMap<string, TunPeer>): TunnelPeer[] {
  return Array.from(peers.values(), ({ name, subnets, ip, port, capabilities }) => {
    return { name, subnets, endpoint: { ip, port }, capabilities };
  });
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

function errnoOf(error: unknown): number {
  if (!(error instanceof Error) || !("errno" in error)) return 0;
  return typeof error.errno === "number" ? error.errno : 0;
}
