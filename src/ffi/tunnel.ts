// The userspace tunnel: a TUN device joined to UDP sockets by the threads of native/, and by two
// small programs in the kernel where it allows them. This class owns the handle and its lifetime;
// packets never pass through TypeScript. Calls return at once, except that closing waits for the
// threads to finish their round, and that starting and setPeers wait some 10 ms for the kernel to
// change its programs. Addresses, routes and the MTU of the device are the reconciler's.
//
// A persistent tunnel leaves device and programs in the kernel when it ends, however it ends; the
// next one finds them there, and takes a predecessor's descriptors where it is offered them.

import { NativeError } from "./libc.ts";
import { withNetns } from "./netns.ts";
import { PeerSlots } from "./peer-slots.ts";
import {
  type AdoptedRow,
  decodeAdopted,
  deviceName,
  type Endpoint,
  encodeConfig,
  encodePeers,
  encodePrefixes,
  type TunnelFds,
  type TunnelPeer,
} from "./tunnel-encode.ts";
import { tunnelError } from "./tunnel-error.ts";
import {
  ADOPTED,
  KERNEL_SLOTS,
  LISTEN_MAX,
  native,
  PEER_COUNTERS,
  QUEUES_MAX,
  STATUS,
} from "./tunnel-native.ts";

export interface TunnelOptions {
  readonly device: string;
  /** Namespace file in which the device and the sockets are made; absent means here. */
  readonly netns?: string | null;
  /** Greatest inner packet. */
  readonly mtuBytes: number;
  readonly queues?: number;
  readonly listen: readonly Endpoint[];
  /** Names from `features()` that are wanted or not; what is not named has its default. */
  readonly features?: Readonly<Record<string, boolean>>;
  /** Peers and own prefixes to start with. */
  readonly peers?: readonly TunnelPeer[];
  readonly own?: readonly string[];
  /** Forward nothing before `start`, so that the peers can be told first. */
  readonly held?: boolean;
  /**
   * Descriptors of a predecessor. When open succeeds they are this tunnel's: what fits is used, the
   * rest is closed.
   */
  readonly offer?: TunnelFds;
}

export interface TunnelFeature {
  readonly name: string;
  readonly wanted: boolean;
  readonly on: boolean;
  /** Why a wanted feature is off: the kernel's errno, or null. */
  readonly errno: number | null;
}

export interface PeerCounters {
  readonly txPackets: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly rxBytes: number;
}

export interface TunnelCounters {
  /** By the names of native/heddle.h, such as `rx_drop_source`. */
  readonly total: Readonly<Record<string, number>>;
  readonly peers: ReadonlyMap<string, PeerCounters>;
}

/** Off unless asked for: a device that outlives the process must be wanted. */
const OFF_BY_DEFAULT = new Set(["persist", "tun-napi"]);

/** IFALIASZ of linux/if.h. */
const ALIAS_MAX = 256;

export class Tunnel {
  readonly device: string;
  readonly #netns: string | null;
  #handle: bigint | null;
  readonly #slots = new PeerSlots(KERNEL_SLOTS);

  private constructor(device: string, netns: string | null, handle: bigint) {
    this.device = device;
    this.#netns = netns;
    this.#handle = handle;
  }

  /** Makes or re-attaches the device, binds the sockets and, unless held, starts. */
  static open(options: TunnelOptions): Tunnel {
    const { call } = native();
    const { device, mtuBytes, listen, queues = 1, offer = null, netns = null } = options;
    const features = featureBits(options.features ?? {});
    const config = encodeConfig({ device, mtuBytes, queues, listen, features, offer });
    const status = new Uint8Array(STATUS.size);
    const out = new BigUint64Array(1);
    const done = withNetns(netns, () => call.hp_open(config, status, out));
    if (done < 0) {
      const step = new DataView(status.buffer).getUint32(STATUS.step, true);
      throw tunnelError(step, -done, options);
    }
    const tunnel = new Tunnel(device, netns, out[0] ?? 0n);
    try {
      tunnel.#slots.adopt(tunnel.#rows());
      if (options.held !== true) {
        tunnel.setPeers(options.peers ?? [], options.own ?? []);
        tunnel.start();
      }
    } catch (error) {
      tunnel.close();
      throw error;
    }
    return tunnel;
  }

  /** The mark on a device; null where it has none, or is not there. */
  static aliasOf(device: string): string | null {
    const name = new Uint8Array([...deviceName(device), 0]);
    const alias = new Uint8Array(ALIAS_MAX);
    const length = native().call.hp_device_alias(name, alias, alias.length);
    return length > 1 ? new TextDecoder().decode(alias.subarray(0, length - 1)) : null;
  }

  /** Removes the programs that a process left for a device, where no tunnel is open for it. */
  static forget(device: string, netns: string | null): void {
    const name = new Uint8Array([...deviceName(device), 0]);
    const done = withNetns(netns, () => native().call.hp_forget(name));
    if (done < 0) throw new NativeError("hp_forget", -done);
  }

  /** Starts the threads, then the programs in the kernel. Peers must have been told before. */
  start(): void {
    this.resume();
    withNetns(this.#netns, () => native().call.hp_accelerate(this.#open()));
  }

  /** Peers that a predecessor's programs carry: their IPv4 part, which is all that those know. */
  adopted(): TunnelPeer[] {
    const peers = new Map<string, TunnelPeer>();
    for (const { name, subnet, endpoint, capabilities } of this.#rows()) {
      const subnets = [...(peers.get(name)?.subnets ?? []), subnet];
      peers.set(name, { name, subnets, endpoint, capabilities });
    }
    return [...peers.values()];
  }

  #rows(): AdoptedRow[] {
    const { call } = native();
    const count = call.hp_adopted(this.#open(), new Uint8Array(ADOPTED.size), 0);
    const bytes = new Uint8Array(Math.max(1, count) * ADOPTED.size);
    const now = call.hp_adopted(this.#open(), bytes, count);
    return decodeAdopted(bytes, Math.min(count, now));
  }

  /**
   * Replaces all peers and our own prefixes; the first of `own` per family is the device's address.
   */
  setPeers(peers: readonly TunnelPeer[], own: readonly string[]): void {
    const names = new Set(peers.map(({ name }) => name));
    if (names.size !== peers.length) throw new RangeError("two peers have one name");
    this.#assignSlots(names);
    const records = encodePeers(peers, (name) => this.#slots.of(name));
    const prefixes = encodePrefixes(peers, own);
    const done = native().call.hp_set_peers(
      this.#open(),
      records,
      peers.length,
      prefixes.bytes,
      prefixes.count,
    );
    if (done < 0) throw new NativeError("hp_set_peers", -done);
    this.#slots.retain(names);
  }

  /** Looks whether routes have changed, by which the programs in the kernel must go. */
  refresh(): void {
    const done = native().call.hp_refresh(this.#open());
    if (done < 0) throw new NativeError("hp_refresh", -done);
  }

  /** A slot is written down for a successor before packets are counted there. */
  #assignSlots(names: ReadonlySet<string>): void {
    this.#slots.free((slots) => {
      const busy = Uint32Array.from(slots);
      return busy.subarray(0, native().call.hp_free_slots(this.#open(), busy, busy.length));
    });
    for (const [name, slot] of this.#slots.assign(names)) {
      const done = native().call.hp_name_slot(this.#open(), slot, Buffer.from(`${name}\0`));
      if (done < 0) throw new NativeError("hp_name_slot", -done);
    }
  }

  counters(): TunnelCounters {
    const { call, counters } = native();
    const values = new BigUint64Array(counters.length);
    call.hp_counters(this.#open(), values, values.length);
    const total: Record<string, number> = {};
    for (const [i, name] of counters.entries()) total[name] = Number(values[i] ?? 0n);
    return { total, peers: this.#peerCounters() };
  }

  #peerCounters(): Map<string, PeerCounters> {
    const words = PEER_COUNTERS.size / 8;
    const values = new BigUint64Array(Math.max(1, this.#slots.end) * words);
    native().call.hp_peer_counters(this.#open(), values, this.#slots.end);
    const at = (index: number) => Number(values[index] ?? 0n);
    const peers = new Map<string, PeerCounters>();
    for (const [name, slot] of this.#slots.held()) {
      const base = slot * words;
      peers.set(name, {
        txPackets: at(base),
        txBytes: at(base + 1),
        rxPackets: at(base + 2),
        rxBytes: at(base + 3),
      });
    }
    return peers;
  }

  features(): TunnelFeature[] {
    const status = this.#status();
    const wanted = status.getUint32(STATUS.wanted, true);
    const active = status.getUint32(STATUS.active, true);
    return native().features.map((name, bit) => {
      const errno = status.getInt32(STATUS.error + bit * 4, true);
      return {
        name,
        wanted: (wanted & (1 << bit)) !== 0,
        on: (active & (1 << bit)) !== 0,
        errno: errno === 0 ? null : errno,
      };
    });
  }

  /** What this host may announce in the log, for its peers to give to their setPeers. */
  capabilities(): string[] {
    const on = new Set(this.features().flatMap((feature) => (feature.on ? [feature.name] : [])));
    const names: string[] = [];
    // An uncut superpacket can be written only with a vnet header
    if (on.has("vnet-header")) names.push("offload");
    if (on.has("kernel-encap")) names.push("encap");
    return names;
  }

  /**
   * Why the device is gone (an errno), or null while it is there. A gone device needs a new open.
   */
  deviceError(): number | null {
    const errno = this.#status().getInt32(STATUS.deviceError, true);
    return errno === 0 ? null : errno;
  }

  #status(): DataView {
    const bytes = new Uint8Array(STATUS.size);
    native().call.hp_status(this.#open(), bytes);
    return new DataView(bytes.buffer);
  }

  /** Open descriptors, for a successor or for whoever keeps them. They are close-on-exec. */
  fds(): TunnelFds {
    const tun = new Int32Array(QUEUES_MAX);
    const udp = new Int32Array(LISTEN_MAX);
    native().call.hp_descriptors(this.#open(), tun, udp);
    const used = (fds: Int32Array) => Array.from(fds).filter((fd) => fd >= 0);
    return { tun: used(tun), udp: used(udp) };
  }

  /** Stops reading; packets wait in the kernel's queues until `resume` or a successor reads on. */
  pause(): void {
    native().call.hp_pause(this.#open());
  }

  resume(): void {
    const done = native().call.hp_resume(this.#open());
    if (done < 0) throw new NativeError("hp_resume", -done);
  }

  /** Lets a persistent device vanish with its last descriptor, and its programs at once. */
  forgetDevice(): void {
    const done = withNetns(this.#netns, () => native().call.hp_forget_device(this.#open()));
    if (done < 0) throw new NativeError("hp_forget_device", -done);
  }

  close(): void {
    const handle = this.#open();
    this.#handle = null;
    native().call.hp_close(handle);
  }

  [Symbol.dispose](): void {
    if (this.#handle !== null) this.close();
  }

  #open(): bigint {
    if (this.#handle === null) throw new Error(`the tunnel ${this.device} is closed`);
    return this.#handle;
  }
}

function featureBits(wishes: Readonly<Record<string, boolean>>): number {
  const { features } = native();
  for (const name of Object.keys(wishes)) {
    if (!features.includes(name)) throw new RangeError(`the tunnel has no feature "${name}"`);
  }
  let bits = 0;
  for (const [bit, name] of features.entries()) {
    if (wishes[name] ?? !OFF_BY_DEFAULT.has(name)) bits |= 1 << bit;
  }
  return bits;
}
