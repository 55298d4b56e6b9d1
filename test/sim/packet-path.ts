// The packet path of a simulated host. Sockets and the table of peers belong to the process and go
// with it; the device is the kernel's, and the programs on it carry their peers on until it goes.
// A tunnel notices that its device went, or another came under its name, only when it is asked.

import type { TunnelOptions } from "../../src/ffi/tunnel.ts";
import type { TunnelPeer } from "../../src/ffi/tunnel-encode.ts";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import type { KernelState, Link, TunPeer } from "../../src/reconcilers/kernel-state.ts";
import type { PacketPath, TunnelHandle } from "../../src/reconcilers/kernel-tunnel.ts";
import { hostLink, type KernelModel } from "../support/kernel-model.ts";
import type { Prng } from "./prng.ts";

const ENOMEM = 12;
const EINVAL = 22;
const EBADFD = 77;
const EADDRINUSE = 98;

export interface PathFaults {
  /** A stranger has the port. */
  portTaken: boolean;
  /** The table cannot be replaced. */
  tableFails: number;
}

class PathError extends Error {
  readonly errno: number;
  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

interface Programs {
  readonly index: number | null;
  readonly peers: readonly TunnelPeer[];
}

export class SimPath implements PacketPath {
  readonly faults: PathFaults = { portTaken: false, tableFails: 0 };
  readonly #model: KernelModel;
  readonly #random: Prng;
  #open: SimTunnel | null = null;
  #programs: Programs | null = null;

  constructor(model: KernelModel, random: Prng) {
    this.#model = model;
    this.#random = random;
  }

  open(options: TunnelOptions): SimTunnel {
    const { device, listen } = options;
    if (this.faults.portTaken || this.#open !== null) {
      throw new PathError(EADDRINUSE, `UDP port ${listen[0]?.port}: taken by another process`);
    }
    const { links } = this.#model.state;
    if ((links.get(device)?.kind ?? "tun") !== "tun") throw new PathError(EINVAL, "not a TUN");
    if (!links.has(device)) {
      this.#model.put("link", hostLink(device, { kind: "tun", mac: "", up: false }));
    }
    const index = this.#model.indexOf(device);
    const left = this.#programs?.index === index ? this.#programs.peers : [];
    this.#open = new SimTunnel(options, left, {
      deviceError: () => (this.#model.indexOf(device) === index ? null : EBADFD),
      admit: () => {
        if (!this.#random.chance(this.faults.tableFails)) return;
        throw new PathError(ENOMEM, "the table of peers: ENOMEM");
      },
      carry: (peers) => {
        this.#programs = { index, peers };
      },
      close: () => {
        this.#open = null;
      },
    });
    return this.#open;
  }

  forget(): void {
    this.#programs = null;
  }

  /** The device's descriptor is of no use any more, though the device is there. */
  breakOpen(): boolean {
    if (this.#open === null) return false;
    this.#open.broken = true;
    return true;
  }

  /** The process is gone, in whatever way. */
  end(): void {
    this.#open = null;
  }

  /** What netlink tells of it: a device, whoever has it open. */
  bare(): Kernel {
    const model = this.#model;
    return {
      observe: async (scope) => withTunnel(await model.observe(scope), null),
      apply: (ops) => model.apply(ops),
      watch: (onChange) => model.watch(onChange),
      facts: () => model.facts(),
      routeTo: (ip) => model.routeTo(ip),
    };
  }

  /** What is truly there: device, sockets and peers as they are open. */
  truth(): KernelState {
    const alive = this.#open?.deviceError() === null && this.#open.started;
    return withTunnel(this.#model.state, alive ? this.#open : null);
  }
}

interface Ground {
  readonly deviceError: () => number | null;
  readonly admit: () => void;
  readonly carry: (peers: readonly TunnelPeer[]) => void;
  readonly close: () => void;
}

class SimTunnel implements TunnelHandle {
  readonly options: TunnelOptions;
  peers: readonly TunnelPeer[] = [];
  own: readonly string[] = [];
  started = false;
  broken = false;
  readonly #left: readonly TunnelPeer[];
  readonly #ground: Ground;

  constructor(options: TunnelOptions, left: readonly TunnelPeer[], ground: Ground) {
    this.options = options;
    this.#left = left;
    this.#ground = ground;
  }

  setPeers(peers: readonly TunnelPeer[], own: readonly string[]): void {
    this.#ground.admit();
    this.peers = peers;
    this.own = own;
    if (this.started) this.#ground.carry(peers);
  }

  refresh(): void {
    // The simulation's hosts have one device.
  }

  start(): void {
    this.started = true;
    this.#ground.carry(this.peers);
  }

  adopted(): TunnelPeer[] {
    return [...this.#left];
  }

  fds(): { tun: number[]; udp: number[] } {
    return { tun: [10], udp: [11] };
  }

  counters(): ReturnType<TunnelHandle["counters"]> {
    return { total: {}, peers: new Map() };
  }

  features(): [] {
    return [];
  }

  capabilities(): string[] {
    return ["offload", "encap"];
  }

  deviceError(): number | null {
    return this.broken ? EBADFD : this.#ground.deviceError();
  }

  close(): void {
    this.#ground.close();
  }
}

/** The model keeps what a TUN was wanted to be; what it is, only who has it open can say. */
function withTunnel(state: KernelState, tunnel: SimTunnel | null): KernelState {
  const found = [...state.links.values()].find(({ kind }) => kind === "tun");
  if (found === undefined) return state;
  const { tun: _, ...rest } = found;
  const bare: Link = { ...rest, port: 0 };
  const links = new Map(state.links);
  links.set(found.name, tunnel === null ? bare : { ...bare, ...endOf(tunnel) });
  return { ...state, links, peers: tunnel === null ? new Map() : peersOf(tunnel) };
}

function endOf({ options: { listen }, own }: SimTunnel): Pick<Link, "port" | "tun"> {
  return {
    port: listen[0]?.port ?? 0,
    tun: { listen: listen.map(({ ip }) => ip), subnets: own },
  };
}

function peersOf({ options, peers }: SimTunnel): Map<string, TunPeer> {
  return new Map(
    peers.map(({ name, subnets, endpoint: { ip, port }, capabilities }) => [
      name,
      { dev: options.device, name, subnets, ip, port, capabilities },
    ]),
  );
}
