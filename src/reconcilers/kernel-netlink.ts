// The Kernel port on the real kernel, by rtnetlink, nf_tables and /proc/sys. One request socket of
// each kind serves every read and write; it is opened in the wanted network namespace and stays
// there. Reads are whole, consistent dumps; ops run in the order given, consecutive ones of the
// small nouns as one batch. What a noun looks like on the wire is in kernel-netlink-<noun>.ts.

import type { Ip } from "../events/address.ts";
import { NativeError } from "../ffi/libc.ts";
import { AF_INET, NETLINK_ROUTE, RTM_NEWNETCONF } from "../ffi/netlink/constants.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { Monitor } from "../ffi/netlink/monitor.ts";
import { NetlinkSocket } from "../ffi/netlink/socket.ts";
import { withNetns } from "../ffi/netns.ts";
import type { HostFacts, Kernel, Scope, Watch } from "./kernel.ts";
import { observeAddrs } from "./kernel-netlink-addr.ts";
import {
  applyBatch,
  type BatchOp,
  type Gateways,
  isBatchOp,
  removeUnused,
} from "./kernel-netlink-batch.ts";
import { Devices } from "./kernel-netlink-dev.ts";
import { Echoes, isRepetition } from "./kernel-netlink-echo.ts";
import { readFacts, routeTo } from "./kernel-netlink-facts.ts";
import { observeFdb } from "./kernel-netlink-fdb.ts";
import { type Configured, configuredOn, isLearnt } from "./kernel-netlink-learnt.ts";
import { delLink, observeLinks, setLink } from "./kernel-netlink-link.ts";
import { type MissOptions, NetlinkMisses } from "./kernel-netlink-miss.ts";
import { observeNeighs } from "./kernel-netlink-neigh.ts";
import { attempt, DONE, refusal } from "./kernel-netlink-outcome.ts";
import { dumpRoutes, mergeRoutes, nexthopsFor, routeOf } from "./kernel-netlink-route.ts";
import { plainRoute } from "./kernel-netlink-route-plain.ts";
import { Rules } from "./kernel-netlink-rule.ts";
import { observeSysctls, setSysctl } from "./kernel-netlink-sysctl.ts";
import {
  emptyKernelState,
  type KernelState,
  keyOf,
  type MutableKernelState,
  type Route,
  type Sysctl,
} from "./kernel-state.ts";
import type { MissKernel } from "./miss.ts";
import type { Op, OpOutcome } from "./op.ts";

const NO_OUTCOMES: Promise<readonly OpOutcome[]> = Promise.resolve([]);

/** The kernel announces forwarding only; reading the few files that matter takes 50 us. */
const SYSCTL_LOOK_MS = 1000;
const NO_INTEREST = { indexes: new Set<number>(), tables: new Set<string>() };

export interface NetlinkKernelOptions {
  /** Namespace file, e.g. `/run/netns/blue`; null is the process's own. */
  readonly netns: string | null;
}

export class NetlinkKernel implements Kernel {
  readonly #netns: string | null;
  readonly #socket: NetlinkSocket;
  readonly #rules: Rules;
  readonly #gateways: Gateways = new Map();
  readonly #echoes = new Echoes();
  #devices: Devices;
  #misses: NetlinkMisses | null = null;
  /** As last observed. */
  #sysctls: { readonly paths: readonly string[]; readonly values: string } | null = null;
  /**
   * What notifications of neighbours and rules are about: nothing before anybody looked at those.
   * While an agent starts, the neighbours of the underlay come and go.
   */
  #interest: { indexes: ReadonlySet<number>; tables: ReadonlySet<string> } = NO_INTEREST;
  #configured: Configured = new Map();
  readonly #watchers = new Set<{ readonly onChange: () => void }>();
  /** One for all watchers: each notification is read and judged once. */
  #watch: Watch | null = null;
  #swept = false;

  /** Throws NativeError without CAP_NET_ADMIN or the needed kernel options. */
  constructor(options: NetlinkKernelOptions) {
    this.#netns = options.netns;
    this.#socket = withNetns(options.netns, () => new NetlinkSocket(NETLINK_ROUTE));
    this.#devices = new Devices(this.#socket);
    this.#rules = new Rules(options.netns);
  }

  close(): void {
    this.#socket.close();
    this.#rules.close();
  }

  async observe(scope: Scope): Promise<KernelState> {
    const state = emptyKernelState();
    const devices = this.#freshDevices();
    const links = observeLinks(devices, scope.links);
    // Before the dumps: what changes during them is heard.
    this.#interest = {
      indexes: new Set(links.flatMap((link) => devices.indexOf(link.name) ?? [])),
      tables: new Set(scope.rules.map((key) => key.slice(key.indexOf(" ") + 1))),
    };
    for (const link of links) {
      state.links.set(keyOf.link(link), link);
      const index = devices.indexOf(link.name);
      if (index !== null) this.#observeDevice(state, devices, link, index);
      // Dumps run without a pause; between devices others may have their turn.
      await new Promise(setImmediate);
    }
    this.#observeRoutes(state, devices, scope.routeDevs);
    for (const value of this.#noteSysctls(scope.sysctls)) {
      state.sysctls.set(keyOf.sysctl(value), value);
    }
    for (const table of this.#rules.observe(scope.rules)) {
      state.rules.set(keyOf.rule(table), table);
    }
    this.#configured = configuredOn(state, (dev) => devices.indexOf(dev));
    return state;
  }

  #observeDevice(
    state: MutableKernelState,
    devices: Devices,
    { name, kind, learning }: { name: string; kind: string; learning: boolean },
    index: number,
  ): void {
    for (const addr of observeAddrs(this.#socket, name, index)) {
      state.addrs.set(keyOf.addr(addr), addr);
    }
    for (const neigh of observeNeighs(this.#socket, name, index)) {
      state.neighs.set(keyOf.neigh(neigh), neigh);
    }
    if (kind !== "vxlan") return;
    for (const fdb of observeFdb(this.#socket, devices, { dev: name, index, learning })) {
      const key = keyOf.fdb(fdb);
      // Of several under one key (a second port), the one that is not as it should be counts.
      if (!state.fdb.get(key)?.extra) state.fdb.set(key, fdb);
    }
  }

  #observeRoutes(state: MutableKernelState, devices: Devices, devs: readonly string[]): void {
    const indexes = devs.flatMap((dev) => devices.indexOf(dev) ?? []);
    const { plain, others } = dumpRoutes(this.#socket, indexes);
    const nexthops = nexthopsFor(this.#socket, others);
    this.#gateways.clear();
    const note = (route: Route, ownGateway: boolean): void => {
      const key = keyOf.route(route);
      const known = state.routes.get(key);
      state.routes.set(key, known === undefined ? route : mergeRoutes(known, route));
      if (route.via === null || !ownGateway) return;
      const vias = this.#gateways.get(route.dev) ?? new Set();
      this.#gateways.set(route.dev, vias.add(route.via));
    };
    for (const found of plain) {
      note(plainRoute(found, devices.nameOf(found.oif) ?? ""), !found.shared);
    }
    for (const message of others) {
      const { header, attrs } = message;
      const own = header.family === AF_INET && attrs.RTA_NH_ID === undefined;
      note(routeOf(message, devices, nexthops), own);
    }
  }

  async apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const devices = ops.every(isBatchOp) ? this.#devices : this.#freshDevices();
    const outcomes: OpOutcome[] = [];
    // What a process that died between two batches left over.
    if (!this.#swept) await removeUnused(this.#socket);
    this.#swept = true;
    let batch: BatchOp[] = [];
    for (const op of ops) {
      if (isBatchOp(op)) {
        batch.push(op);
        continue;
      }
      for (const outcome of await this.#batch(devices, batch)) outcomes.push(outcome);
      batch = [];
      outcomes.push(await this.#applyOne(devices, op));
    }
    for (const outcome of await this.#batch(devices, batch)) outcomes.push(outcome);
    if (outcomes.some((outcome) => !outcome.ok)) this.#freshDevices();
    return outcomes;
  }

  /**
   * What is known of devices is good until the next look or failure: the kernel does not give an
   * index to another device, so a stale one fails and never hits the wrong one.
   */
  #freshDevices(): Devices {
    this.#devices = new Devices(this.#socket);
    return this.#devices;
  }

  #batch(devices: Devices, ops: readonly BatchOp[]): Promise<readonly OpOutcome[]> {
    if (ops.length === 0) return NO_OUTCOMES;
    for (const op of ops) {
      if (op.noun !== "fdb" && op.noun !== "neigh") continue;
      const index = devices.indexOf(op.object.dev);
      if (index !== null) this.#echoes.expect(op, index);
    }
    const run = () => applyBatch(this.#socket, devices, this.#gateways, ops);
    const removes = ops.some(
      ({ verb, noun }) => verb === "del" && (noun === "neigh" || noun === "fdb"),
    );
    return removes && this.#misses !== null ? this.#misses.withhold(run) : run();
  }

  async #applyOne(devices: Devices, op: Exclude<Op, BatchOp>): Promise<OpOutcome> {
    switch (op.noun) {
      case "link":
        return await attempt(() =>
          op.verb === "set"
            ? setLink(this.#socket, devices, op.object)
            : delLink(this.#socket, devices, op.object.name),
        );
      case "sysctl":
        return op.verb === "set" ? this.#setSysctl(op.object) : DONE;
      case "peer":
        return refusal("peers of a userspace tunnel are not the kernel's");
      case "rule":
        return await (op.verb === "set" ? this.#rules.set(op.object) : this.#rules.del(op.object));
    }
  }

  /** The part of the kernel that asks. */
  misses(options: MissOptions = {}): MissKernel {
    this.#misses = new NetlinkMisses({
      netns: this.#netns,
      socket: this.#socket,
      devices: () => this.#devices,
      echoes: this.#echoes,
      ...options,
    });
    return this.#misses;
  }

  #setSysctl(object: Sysctl): OpOutcome {
    const outcome = setSysctl(this.#netns, object);
    if (this.#sysctls !== null) this.#noteSysctls(this.#sysctls.paths);
    return outcome;
  }

  #noteSysctls(paths: readonly string[]): readonly Sysctl[] {
    const found = observeSysctls(this.#netns, paths);
    this.#sysctls = { paths, values: JSON.stringify(found) };
    return found;
  }

  watch(onChange: () => void): Watch {
    this.#watch ??= this.#listen();
    const watcher = { onChange };
    this.#watchers.add(watcher);
    return { close: () => this.#unwatch(watcher) };
  }

  /** Whoever closes may do so because the sockets seem dead: those that stay get fresh ones. */
  #unwatch(watcher: { readonly onChange: () => void }): void {
    if (!this.#watchers.delete(watcher)) return;
    this.#watch?.close();
    this.#watch = null;
    if (this.#watchers.size === 0) return;
    try {
      this.#watch = this.#listen();
    } catch (error) {
      // The next one to watch tries again, and is told.
      if (!(error instanceof NativeError)) throw error;
    }
    this.#tell();
  }

  #tell(): void {
    for (const { onChange } of [...this.#watchers]) onChange();
  }

  #listen(): Watch {
    const monitor = new Monitor({
      netns: this.#netns,
      ownPort: this.#socket.port,
      ownRulePort: this.#rules.port,
      interest: () => this.#interest,
      expected: (frame) =>
        isRepetition(frame) ||
        this.#misses?.isOwn(frame) === true ||
        this.#echoes.isEcho(frame) ||
        isLearnt(frame, this.#configured) ||
        this.#isNoNews(frame),
      onDirty: () => this.#tell(),
    });
    const timer = setInterval(() => {
      if (this.#sysctlsChanged()) this.#tell();
    }, SYSCTL_LOOK_MS);
    return {
      close: () => {
        clearInterval(timer);
        monitor.close();
      },
    };
  }

  /** Switching forwarding is announced once per device: a dozen times for what we did ourselves. */
  #isNoNews({ type }: Frame): boolean {
    return type === RTM_NEWNETCONF && !this.#sysctlsChanged();
  }

  #sysctlsChanged(): boolean {
    if (this.#sysctls === null) return false;
    const { paths, values } = this.#sysctls;
    try {
      return JSON.stringify(observeSysctls(this.#netns, paths)) !== values;
    } catch {
      return true; // Whoever looks now is told what is wrong.
    }
  }

  facts(): Promise<HostFacts> {
    return Promise.resolve(readFacts(this.#socket));
  }

  routeTo(ip: Ip): Promise<string | null> {
    return Promise.resolve(routeTo(this.#socket, ip));
  }
}
