// Random kernel states from a small world, so that wanted and found often meet under one key: our
// two devices, another fabric's, the underlay; objects that are right, altered, left over, foreign.

import fc from "fast-check";
import { isReplica } from "../../src/reconcilers/fdb.ts";
import {
  type Addr,
  ANY_MAC,
  emptyKernelState,
  type Fdb,
  type KernelState,
  keyOf,
  type Link,
  type Neigh,
  PROTOCOL,
  type Route,
  type RuleTable,
  type Sysctl,
  type TunPeer,
} from "../../src/reconcilers/kernel-state.ts";
import { ruleTable } from "../../src/reconcilers/rule.ts";

export const FABRIC = "blue";
const OURS = ["heddle.1", "heddle-v6.1", "heddle0"];
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];
const SUBNETS = ["10.5.1.0", "10.5.2.0", "10.5.3.0", "10.5.4.0"];

const linkOf = (names: readonly string[], alias: fc.Arbitrary<string | null>) =>
  fc
    .record<Link>({
      name: fc.constantFrom(...names),
      kind: fc.constantFrom("vxlan", "vxlan", "tun", "dummy"),
      vni: fc.constantFrom(1, 1, 7),
      port: fc.constant(8472),
      local: fc.constantFrom("198.18.0.1", "198.18.0.9"),
      underlay: fc.constant("eth0"),
      learning: fc.boolean(),
      gbp: fc.constant(false),
      mac: fc.constantFrom(...MACS),
      mtu: fc.constantFrom(1450, 1400),
      up: fc.boolean(),
      alias,
    })
    .map(asKind);

/** A TUN has none of a vxlan's properties, and an end of its own. */
function asKind(link: Link): Link {
  if (link.kind !== "tun") return link;
  const tun = { listen: [link.local], subnets: ["10.5.1.0/24"] };
  return { ...link, vni: 0, port: 8285, local: "", underlay: "", learning: false, mac: "", tun };
}

const addrOf = (devs: readonly string[]) =>
  fc.record<Addr>({
    dev: fc.constantFrom(...devs),
    address: fc.constantFrom("10.5.1.0/32", "10.9.9.9/24", "fe80::1/64"),
  });

const routeOf = (devs: readonly string[], protocol: fc.Arbitrary<number>) =>
  fc.record<Route>({
    dst: fc.constantFrom(...SUBNETS.map((subnet) => `${subnet}/24`)),
    via: fc.constantFrom(...SUBNETS),
    dev: fc.constantFrom(...devs),
    onlink: fc.boolean(),
    metric: fc.constantFrom(0, 0, 100),
    protocol,
    extra: fc.constantFrom(null, null, "src 10.0.0.1"),
  });

const neighOf = (devs: readonly string[], protocol: fc.Arbitrary<number>) =>
  fc.record<Neigh>({
    dev: fc.constantFrom(...devs),
    ip: fc.constantFrom(...SUBNETS),
    mac: fc.constantFrom(...MACS),
    permanent: fc.boolean(),
    protocol,
  });

const fdbOf = (devs: readonly string[]) =>
  fc.record<Fdb>({
    dev: fc.constantFrom(...devs),
    mac: fc.constantFrom(...MACS, ANY_MAC, ANY_MAC),
    dst: fc.constantFrom("198.18.0.2", "198.18.0.3"),
    permanent: fc.boolean(),
    extra: fc.constant(null),
  });

const peerOf = (devs: readonly string[]) =>
  fc.record<TunPeer>({
    dev: fc.constantFrom(...devs),
    name: fc.constantFrom("h2", "h3", "peer:f5"),
    subnets: fc.constantFrom(["10.5.2.0/24"], ["10.5.3.0/24", "fd00:5::/64"]),
    ip: fc.constantFrom("198.18.0.2", "198.18.0.3"),
    port: fc.constantFrom(8285, 4000),
    capabilities: fc.constantFrom([], ["offload"]),
  });

const sysctlOf = fc.record<Sysctl>({
  path: fc.constantFrom("net/ipv4/ip_forward", "net/ipv6/conf/heddle-v6.1/accept_ra"),
  value: fc.constantFrom("0", "1"),
});

const tableOf = fc
  .boolean()
  .map(
    (masquerade): RuleTable =>
      ruleTable(
        FABRIC,
        [{ family: "ipv4", network: "10.5.0.0/16", subnet: "10.5.1.0/24" }],
        masquerade,
      ),
  );

interface Parts {
  links: Link[];
  addrs: Addr[];
  routes: Route[];
  neighs: Neigh[];
  fdb: Fdb[];
  sysctls: Sysctl[];
  rules: RuleTable[];
  peers: TunPeer[];
}

/** Without what would stand on a device that is not there. */
function assemble(all: Parts): KernelState {
  const names = new Set(all.links.map((link) => link.name));
  const there = (o: { readonly dev: string }): boolean => o.dev === "eth0" || names.has(o.dev);
  const parts: Parts = {
    ...all,
    addrs: all.addrs.filter(there),
    routes: all.routes.filter(there),
    neighs: all.neighs.filter(there),
    fdb: all.fdb.filter(there),
    peers: all.peers.filter(there),
    sysctls: all.sysctls.filter((o) => !o.path.includes("v6.1") || names.has("heddle-v6.1")),
  };
  const state = emptyKernelState();
  for (const o of parts.links) state.links.set(keyOf.link(o), o);
  for (const o of parts.addrs) state.addrs.set(keyOf.addr(o), o);
  for (const o of parts.routes) state.routes.set(keyOf.route(o), o);
  for (const o of parts.neighs) state.neighs.set(keyOf.neigh(o), o);
  for (const o of parts.fdb) state.fdb.set(keyOf.fdb(o), o);
  for (const o of parts.sysctls) state.sysctls.set(keyOf.sysctl(o), o);
  for (const o of parts.rules) state.rules.set(keyOf.rule(o), o);
  for (const o of parts.peers) state.peers.set(keyOf.peer(o), o);
  return state;
}

/** What of an entry must be unique: without a MAC it is one of many. */
const remoteOf = (o: Fdb) => (isReplica(o) ? keyOf.fdb(o) : `${o.dev} ${o.mac}`);

function some<T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(item, { maxLength: 6 });
}

/** What a plan may want: only our marks, and one remote per MAC. */
export const wantedState: fc.Arbitrary<KernelState> = fc
  .record({
    links: some(linkOf(OURS, fc.constant(`heddle ${FABRIC}`))),
    addrs: some(addrOf(OURS)),
    routes: some(routeOf([...OURS, "eth0"], fc.constant(PROTOCOL))),
    neighs: some(neighOf(OURS, fc.constant(PROTOCOL))),
    fdb: fc.uniqueArray(fdbOf(OURS), { maxLength: 4, selector: remoteOf }),
    sysctls: some(sysctlOf),
    rules: fc.array(tableOf, { maxLength: 1 }),
    peers: some(peerOf(OURS)),
  })
  .map(assemble);

/** What may be found: ours from before, other fabrics', the administrator's. */
export const foundState: fc.Arbitrary<KernelState> = fc
  .record({
    links: some(
      linkOf(
        [...OURS, "heddle.7", "heddle.9"],
        fc.constantFrom(`heddle ${FABRIC}`, `heddle ${FABRIC}`, "heddle green", null, "mine"),
      ),
    ),
    addrs: some(addrOf([...OURS, "heddle.7", "heddle.9"])),
    routes: some(
      routeOf([...OURS, "heddle.7", "heddle.9", "eth0"], fc.constantFrom(PROTOCOL, PROTOCOL, 3)),
    ),
    neighs: some(neighOf([...OURS, "heddle.7", "heddle.9"], fc.constantFrom(PROTOCOL, 0))),
    fdb: some(fdbOf([...OURS, "heddle.7", "heddle.9"])),
    sysctls: some(sysctlOf),
    rules: fc.array(tableOf, { maxLength: 1 }),
    peers: some(peerOf([...OURS, "heddle.7", "heddle.9"])),
  })
  .map(assemble);
