// An in-memory Kernel with the semantics of the real one that matter to us: what a device takes
// with it when it goes down or away, which routes are refused, one remote per MAC, silence about
// our own changes. It passes the same contract suite as the real kernel; where they differ, this
// one is wrong. Faults are injected by the test, driven by the test's own generator.

import { familyOf, type Ip } from "../../src/events/address.ts";
import { isLearnt, isReplica } from "../../src/reconcilers/fdb.ts";
import type { HostFacts, Kernel, Scope, Watch } from "../../src/reconcilers/kernel.ts";
import {
  type Addr,
  ANY_MAC,
  emptyKernelState,
  type Fdb,
  type KernelState,
  keyOf,
  type Link,
  type Noun,
  PROTOCOL,
  type Route,
} from "../../src/reconcilers/kernel-state.ts";
import { mustRecreate } from "../../src/reconcilers/link.ts";
import type { NounTypes, Op, OpOutcome } from "../../src/reconcilers/op.ts";
import { factsOf } from "./kernel-model-facts.ts";
import {
  connectedRoutes,
  ENODEV,
  lookup,
  type Routing,
  refused,
  refuseRoute,
} from "./kernel-model-route.ts";

const EINVAL = 22;
const OK: OpOutcome = { ok: true };

/** Thrown by `apply` where `crashAfter` says so: the process died between two ops. */
export class ModelCrash extends Error {
  override readonly name = "ModelCrash";
}

export interface Fault {
  readonly errno: number;
  readonly matches: (op: Op) => boolean;
}

/** A device of the host that is not ours. */
export function hostLink(name: string, options: Partial<Link> = {}): Link {
  return {
    name,
    kind: "veth",
    vni: 0,
    port: 0,
    local: "",
    underlay: "",
    learning: false,
    gbp: false,
    mac: "02:ff:00:00:00:01",
    mtu: 1500,
    up: true,
    alias: null,
    ...options,
  };
}

export class KernelModel implements Kernel {
  /** Everything there is, foreign and ours. */
  readonly state = emptyKernelState();
  readonly #watchers = new Set<() => void>();
  readonly #indexes = new Map<string, number>();
  readonly #faults: Fault[] = [];
  readonly #random: () => number;
  #nextIndex = 2;
  #errnoRate = 0;
  #errnos: readonly number[] = [];
  #lossRate = 0;
  #lose = 0;
  #opsToCrash = Number.POSITIVE_INFINITY;

  /** `random` gives numbers in [0, 1); it decides only about the random faults. */
  constructor(random: () => number = () => 1) {
    this.#random = random;
  }

  // What a test does behind our back. Each change is told to watchers.

  put<N extends Noun>(noun: N, object: NounTypes[N]): void {
    const key = keyOf[noun] as (object: NounTypes[N]) => string;
    if (noun === "link") this.#makeLink(object as Link);
    else (this.#mapOf(noun) as Map<string, NounTypes[N]>).set(key(object), object);
    this.#notify();
  }

  remove(noun: Noun, key: string): void {
    if (noun === "link") this.#dropLink(key);
    else if (noun === "addr") this.#dropAddr(key);
    else this.#mapOf(noun).delete(key);
    this.#notify();
  }

  setUp(dev: string, up: boolean): void {
    const link = this.state.links.get(dev);
    if (link === undefined) throw new Error(`no device ${dev}`);
    this.#setUp(link, up);
    this.#notify();
  }

  /** Of the device that has this name now, or null. */
  indexOf(dev: string): number | null {
    return this.#indexes.get(dev) ?? null;
  }

  // Faults.

  /** The next op that matches fails with this errno and changes nothing. */
  failNext(errno: number, matches: (op: Op) => boolean = () => true): void {
    this.#faults.push({ errno, matches });
  }

  /** From now on each op fails with this probability, with one of these errnos. */
  failRandomly(rate: number, errnos: readonly number[]): void {
    this.#errnoRate = rate;
    this.#errnos = errnos;
  }

  loseNotifications(count: number): void {
    this.#lose = count;
  }

  loseRandomly(rate: number): void {
    this.#lossRate = rate;
  }

  /** `apply` throws ModelCrash once this many further ops are done. */
  crashAfter(ops: number): void {
    this.#opsToCrash = ops;
  }

  // The port.

  observe(scope: Scope): Promise<KernelState> {
    const found = emptyKernelState();
    const devs = new Set(scope.links.filter((name) => this.state.links.has(name)));
    for (const name of devs) {
      const link = this.state.links.get(name);
      if (link !== undefined) found.links.set(name, link);
    }
    copyWhere(this.state.peers, found.peers, ({ dev }) => devs.has(dev));
    copyWhere(this.state.addrs, found.addrs, ({ dev }) => devs.has(dev));
    copyWhere(
      this.state.neighs,
      found.neighs,
      ({ dev, permanent, protocol }) => devs.has(dev) && (permanent || protocol === PROTOCOL),
    );
    copyWhere(
      this.state.fdb,
      found.fdb,
      (entry) => devs.has(entry.dev) && !(found.links.get(entry.dev)?.learning && isLearnt(entry)),
    );
    for (const route of connectedRoutes(this.state.links, this.state.addrs)) {
      if (scope.routeDevs.includes(route.dev)) found.routes.set(keyOf.route(route), route);
    }
    copyWhere(
      this.state.routes,
      found.routes,
      ({ dev, protocol }) => protocol === PROTOCOL || scope.routeDevs.includes(dev),
    );
    copyWhere(this.state.sysctls, found.sysctls, ({ path }) => scope.sysctls.includes(path));
    copyWhere(this.state.rules, found.rules, (table) => scope.rules.includes(keyOf.rule(table)));
    return Promise.resolve(found);
  }

  apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const outcomes: OpOutcome[] = [];
    for (const op of ops) {
      if (this.#opsToCrash <= 0) return Promise.reject(new ModelCrash("the process died"));
      this.#opsToCrash -= 1;
      const errno = this.#faultFor(op);
      outcomes.push(errno === null ? this.applyOne(op) : refused(errno, `injected ${errno}`));
    }
    return Promise.resolve(outcomes);
  }

  watch(onChange: () => void): Watch {
    this.#watchers.add(onChange);
    return { close: () => this.#watchers.delete(onChange) };
  }

  facts(): Promise<HostFacts> {
    return Promise.resolve(factsOf(this.state, this.#routing(), this.#indexes));
  }

  routeTo(ip: Ip): Promise<string | null> {
    // A route that leads nowhere has no device.
    return Promise.resolve(lookup(this.#routing(), ip)?.dev || null);
  }

  // How ops work.

  /** Within this turn, faults aside. */
  applyOne(op: Op): OpOutcome {
    switch (op.noun) {
      case "link":
        return this.#applyLink(op.verb, op.object);
      case "sysctl":
        if (op.verb === "set") this.state.sysctls.set(op.object.path, op.object);
        return OK;
      case "rule":
        if (op.verb === "set") this.state.rules.set(keyOf.rule(op.object), op.object);
        else this.state.rules.delete(keyOf.rule(op.object));
        return OK;
      case "route":
        return this.#applyRoute(op.verb, op.object, op.found);
      default:
        return this.#applyOnLink(op);
    }
  }

  #applyOnLink(op: Extract<Op, { noun: "addr" | "neigh" | "fdb" | "peer" }>): OpOutcome {
    const link = this.state.links.get(op.object.dev);
    if (op.verb === "del") {
      if (op.noun === "addr") this.#dropAddr(op.key);
      else this.#mapOf(op.noun).delete(op.key);
      return OK;
    }
    if (link === undefined) return refused(ENODEV, `ENODEV: no device ${op.object.dev}`);
    if (op.noun === "addr") this.#setAddr(op.object);
    else if (op.noun === "peer") this.state.peers.set(op.key, op.object);
    else if (op.noun === "neigh") this.state.neighs.set(op.key, { ...op.object, permanent: true });
    else return this.#setFdb(link, op.object);
    return OK;
  }

  /** IPv6 keeps the prefix length that an address came with (inet6_addr_modify). */
  #setAddr(addr: Addr): void {
    const ip = addr.address.slice(0, addr.address.indexOf("/") + 1);
    const same = Array.from(this.state.addrs.values()).some(
      ({ dev, address }) => dev === addr.dev && address.startsWith(ip),
    );
    if (familyOf(ip) === "ipv4" || !same) this.state.addrs.set(keyOf.addr(addr), addr);
  }

  /** The last IPv4 address takes IPv4 routes and neighbours along (inetdev_destroy). */
  #dropAddr(key: string): void {
    const addr = this.state.addrs.get(key);
    if (addr === undefined) return;
    this.state.addrs.delete(key);
    const isIpv4 = (text: string) => familyOf(text) === "ipv4";
    const left = Array.from(this.state.addrs.values());
    if (!isIpv4(addr.address)) return;
    if (left.some(({ dev, address }) => dev === addr.dev && isIpv4(address))) return;
    deleteWhere(this.state.routes, ({ dev, dst }) => dev === addr.dev && isIpv4(dst));
    deleteWhere(this.state.neighs, ({ dev, ip }) => dev === addr.dev && isIpv4(ip));
  }

  #setFdb(link: Link, entry: Fdb): OpOutcome {
    // Forwarding entries of other kinds of devices are not what we mean.
    if (link.kind !== "vxlan") return refused(95, "EOPNOTSUPP");
    if (familyOf(entry.dst) !== familyOf(link.local)) return refused(97, "EAFNOSUPPORT");
    if (entry.via !== undefined && !this.state.links.has(entry.via)) {
      return refused(ENODEV, `ENODEV: no device ${entry.via}`);
    }
    for (const [key, other] of isReplica(entry) ? [] : this.state.fdb) {
      if (other.dev === entry.dev && other.mac === entry.mac) this.state.fdb.delete(key);
    }
    this.state.fdb.set(keyOf.fdb(entry), entry);
    return OK;
  }

  #applyRoute(verb: Op["verb"], route: Route, found: Route | null): OpOutcome {
    const key = keyOf.route(route);
    if (verb === "del") {
      if (this.state.routes.get(key)?.protocol === route.protocol) this.state.routes.delete(key);
      return OK;
    }
    let refusal = refuseRoute(this.#routing(), route);
    // IPv6: the route that is there may lead the new one's gateway elsewhere; then it goes first.
    const elsewhere = found !== null && found.dev !== route.dev;
    const invalid = refusal !== null && !refusal.ok && refusal.errno === EINVAL;
    if (invalid && elsewhere && route.onlink && familyOf(route.dst) === "ipv6") {
      this.state.routes.delete(key);
      refusal = refuseRoute(this.#routing(), route);
    }
    if (refusal !== null) return refusal;
    this.state.routes.set(key, route);
    return OK;
  }

  #routing(): Routing {
    const { links, addrs, routes } = this.state;
    return { links, addrs, routes: [...connectedRoutes(links, addrs), ...routes.values()] };
  }

  #applyLink(verb: Op["verb"], want: Link): OpOutcome {
    const have = this.state.links.get(want.name);
    // Without a mark, the MAC address of this node tells.
    const unmarked = verb === "set" && !have?.alias && have?.mac === want.mac;
    const ours =
      (have?.kind === "vxlan" || have?.kind === "tun") &&
      (unmarked || have.alias?.startsWith("heddle "));
    if (have !== undefined && !ours) {
      const text = `EEXIST: device ${want.name} exists and is not ours (kind ${have.kind})`;
      return refused(17, text);
    }
    if (verb === "del") {
      if (have !== undefined) this.#dropLink(want.name);
      return OK;
    }
    if (want.kind !== "tun" && !this.state.links.has(want.underlay)) {
      return refused(ENODEV, `ENODEV: no underlay device ${want.underlay}`);
    }
    if (want.master !== undefined && !this.state.links.has(want.master)) {
      return refused(ENODEV, `ENODEV: no bridge ${want.master}`);
    }
    const inPlace = have !== undefined && !mustRecreate(want, have);
    if (have !== undefined && !inPlace) this.#dropLink(want.name);
    if (!inPlace) this.#makeLink(want);
    else {
      // neigh_changeaddr (net/core/neighbour.c): entries were made for the old MAC address.
      if (have.mac !== want.mac) deleteWhere(this.state.neighs, ({ dev }) => dev === want.name);
      if (!want.learning) {
        deleteWhere(this.state.fdb, (o) => o.dev === want.name && isLearnt(o));
      }
      const stays = have.master === undefined ? {} : { master: have.master };
      this.state.links.set(want.name, { ...stays, ...want, up: have.up });
      this.#setUp({ ...stays, ...want, up: have.up }, want.up);
    }
    return OK;
  }

  #makeLink(link: Link): void {
    this.state.links.set(link.name, link);
    this.#indexes.set(link.name, this.#nextIndex);
    this.#nextIndex += 1;
    if (link.group === undefined) return;
    // The kernel's own (__vxlan_dev_create).
    const entry = { dev: link.name, mac: ANY_MAC, dst: link.group, permanent: true, extra: null };
    this.state.fdb.set(keyOf.fdb(entry), { ...entry, via: link.underlay });
  }

  #dropLink(name: string): void {
    this.state.links.delete(name);
    this.#indexes.delete(name);
    const on = ({ dev }: { dev: string }) => dev === name;
    deleteWhere(this.state.addrs, on);
    deleteWhere(this.state.routes, on);
    deleteWhere(this.state.neighs, on);
    deleteWhere(this.state.fdb, on);
    deleteWhere(this.state.peers, on);
    for (const { master, ...port } of Array.from(this.state.links.values())) {
      if (master === name) this.state.links.set(port.name, port);
    }
    // A vxlan device goes with its underlay (vxlan_handle_lowerdev_unregister).
    for (const link of Array.from(this.state.links.values())) {
      if (link.underlay === name) this.#dropLink(link.name);
    }
  }

  /** Down loses routes, neighbours and IPv6 addresses; IPv4 addresses and FDB entries stay. */
  #setUp(link: Link, up: boolean): void {
    this.state.links.set(link.name, { ...link, up });
    if (up || !link.up) return;
    const on = ({ dev }: { dev: string }) => dev === link.name;
    deleteWhere(this.state.routes, on);
    deleteWhere(this.state.neighs, on);
    deleteWhere(this.state.addrs, (addr) => on(addr) && familyOf(addr.address) === "ipv6");
  }

  #mapOf(noun: Exclude<Noun, "link">): Map<string, unknown> {
    const { addrs, routes, neighs, fdb, sysctls, rules, peers } = this.state;
    const maps = {
      ...{ addr: addrs, route: routes, neigh: neighs },
      ...{ fdb, sysctl: sysctls, rule: rules, peer: peers },
    };
    return maps[noun] as Map<string, unknown>;
  }

  #faultFor(op: Op): number | null {
    const index = this.#faults.findIndex((fault) => fault.matches(op));
    if (index >= 0) return this.#faults.splice(index, 1)[0]?.errno ?? null;
    if (this.#errnoRate === 0 || this.#random() >= this.#errnoRate) return null;
    return this.#errnos[Math.floor(this.#random() * this.#errnos.length)] ?? null;
  }

  #notify(): void {
    if (this.#lose > 0) {
      this.#lose -= 1;
      return;
    }
    if (this.#lossRate > 0 && this.#random() < this.#lossRate) return;
    for (const watcher of this.#watchers) queueMicrotask(watcher);
  }
}

function copyWhere<T>(from: ReadonlyMap<string, T>, to: Map<string, T>, keep: (o: T) => boolean) {
  for (const [key, object] of from) if (keep(object)) to.set(key, object);
}

function deleteWhere<T>(map: Map<string, T>, gone: (object: T) => boolean): void {
  for (const [key, object] of map) if (gone(object)) map.delete(key);
}
