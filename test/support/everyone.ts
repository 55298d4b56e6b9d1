// A host under test with its agent in this process, a container behind it, and one namespace that
// stands in for every peer of a fabric: it takes frames for any MAC address, packets for any
// address of the overlay and outer packets for any underlay address, and knows the way back. So a
// fabric of any size is one log and three namespaces.
//
//   container ── eth0 :host: eth0 ──── eth0 :everyone

import { startAgent } from "../../src/agent/agent.ts";
import type { Agent } from "../../src/agent/agent-deps.ts";
import type { Logger } from "../../src/agent/logger.ts";
import { type Family, familyOf } from "../../src/events/address.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft, Event, Member } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { vtepMac } from "../../src/events/vtep-mac.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import type { MissOptions } from "../../src/reconcilers/kernel-netlink-miss.ts";
import type { MissKernel } from "../../src/reconcilers/miss.ts";
import { until } from "./fabric.ts";
import { defaultMember } from "./history.ts";
import { MemoryLog } from "./log-memory.ts";
import { joinByVeth, makeNetns, type Netns } from "./netns.ts";
import { realClock } from "./real-clock.ts";

const FABRIC = "t";
const NODE = "h1";
const V4 = "198.18.0.1";
const V6 = "2001:db8::1";
/** Underlay addresses of peers by number; `everyone` itself is outside. */
const NUMBERED_V6 = "2001:db8::/113";
const [PEERS_V4, PEERS_V6] = ["198.18.0.0/15", "2001:db8::/64"];

export interface EveryoneOptions {
  readonly config: object;
  /** Of the agent's test: after how long an entry is idle. */
  readonly idleMs?: number;
  readonly misses?: MissOptions;
  readonly bridged?: boolean;
}

export class Everyone {
  readonly host: Netns = makeNetns();
  readonly peers: Netns = makeNetns();
  readonly container: Netns = makeNetns();
  readonly log: MemoryLog = new MemoryLog(realClock);
  readonly #client = this.log.client();
  readonly #options: EveryoneOptions;
  #kernel: NetlinkKernel | null = null;
  #agent: Agent | null = null;
  #snapshot: string | null = null;
  #subnetEnv: string | null = null;
  #families: readonly Family[] = [];
  #ids = 0;
  /** How often questions may have gone unheard, the start of an agent included. */
  gaps = 0;
  /** Called before the agent looks for which entries are used. */
  onLook: () => void = () => undefined;
  /** How often the agent looked at the kernel. */
  rounds = 0;
  /** What the agent found changed by others in the kernel. */
  readonly drift: string[] = [];

  constructor(options: EveryoneOptions) {
    this.#options = options;
    const { host, peers } = this;
    const ends = { dev: "eth0" };
    joinByVeth(
      { ...ends, netns: host, addresses: [`${V4}/15`, `${V6}/64`] },
      { ...ends, netns: peers, addresses: ["198.19.255.254/32", "2001:db8::ffff/128"] },
    );
    host.ip("route add default via 198.19.255.254");
    // Nobody answers a solicitation for an address that only a prefix makes local.
    host.ip(`-6 route add ${NUMBERED_V6} via 2001:db8::ffff`);
    this.#standIn();
  }

  get agent(): Agent {
    if (this.#agent === null) throw new Error("no agent runs");
    return this.#agent;
  }

  /** The log as it is, folded, with what the host holds. */
  state(): FabricState {
    const state = initialState(FABRIC, NODE);
    for (const record of this.log.truth.records) fold(state, record);
    return state;
  }

  /** Everything of this type in the log, decoded. */
  events<T extends Event["type"]>(type: T): Extract<Event, { type: T }>[] {
    const state = initialState(FABRIC);
    return this.log.truth.records.flatMap((record) => {
      const { event } = fold(state, record);
      return event?.type === type ? [event as Extract<Event, { type: T }>] : [];
    });
  }

  /** The configuration, this host as number 1, and `count` peers from number 2 on. */
  async populate(count: number): Promise<void> {
    await this.configure(this.#options.config);
    await this.join(1, count + 1);
  }

  async configure(document: object): Promise<void> {
    const parsed = parseNetworkConfig(document);
    if (!parsed.ok) throw new Error(parsed.reason);
    await this.append({ type: "FabricConfigured", data: { config: parsed.document } });
    this.#families = (["ipv4", "ipv6"] as const).filter((family) => parsed.config[family]);
  }

  /** Peers number `from` to `to` join and claim; `part` changes what they announce. */
  async join(from: number, to: number, part: Partial<Member> = {}): Promise<void> {
    for (let i = from; i <= to; i++) {
      const node = `h${i}`;
      await this.append({ type: "NodeJoined", data: { ...this.#member(node), ...part } });
      const data = { node, epoch: 1, subnets: this.subnets(i), ttlSeconds: 86_400 };
      await this.append({ type: "LeaseClaimed", data });
    }
  }

  async update(node: string, part: Partial<Member>): Promise<void> {
    await this.append({ type: "NodeUpdated", data: { ...this.#member(node), ...part } });
  }

  /** What peer number `i` leases. */
  subnets(i: number): string[] {
    const [high, low] = [i >> 8, i & 255];
    const all = { ipv4: `10.${5 + high}.${low}.0/24`, ipv6: `fd00:5:0:${i.toString(16)}::/64` };
    return this.#families.map((family) => all[family]);
  }

  /** An address of a container of peer number `i`. */
  address(i: number, family: Family = "ipv4"): string {
    const subnet = this.subnets(i).find((each) => familyOf(each) === family) ?? "";
    const ip = at(subnet, 9);
    return ip.slice(0, ip.indexOf("/"));
  }

  async append(draft: Draft): Promise<void> {
    const id = `test-${++this.#ids}`;
    const payload = encode(draft, id);
    await this.#client.log.append({ subject: subjectOf(FABRIC, draft), payload, id });
  }

  #member(node: string): Member {
    const member = defaultMember(FABRIC, node);
    const { underlay } = member;
    return { ...member, underlay: { ...underlay, onlink: [PEERS_V4, PEERS_V6] } };
  }

  async start(): Promise<Agent> {
    const { idleMs, misses } = this.#options;
    const kernel = new NetlinkKernel({ netns: this.host.path });
    this.#kernel = kernel;
    const client = this.log.client();
    let ids = 0;
    const run = ++this.#ids;
    const nothing = (): void => undefined;
    const debug: Logger["debug"] = (text) => {
      if (text === "round") this.rounds++;
    };
    const warn: Logger["warn"] = (text, fields) => {
      if (text === "drift healed") this.drift.push(`${fields?.noun}`);
    };
    const logger: Logger = { debug, info: nothing, warn, error: nothing };
    this.#agent = await startAgent(
      {
        log: client.log,
        board: client.status,
        kernel,
        misses: this.#counting(kernel.misses(misses)),
        clock: realClock,
        logger,
        newId: () => `agent-${run}-${++ids}`,
        files: {
          readSnapshot: async () => this.#snapshot,
          writeSnapshot: async (text) => {
            this.#snapshot = text;
          },
          readSubnetEnv: async () => this.#subnetEnv,
          writeSubnetEnv: async (text) => {
            this.#subnetEnv = text;
          },
        },
      },
      {
        ...{ fabric: FABRIC, node: NODE, instance: `boot-of-${NODE}`, version: "test" },
        ...{ ipMasq: false, publicIp: null, publicIpv6: null },
        underlay: { by: "name", name: "eth0" },
        ...{ ttlSeconds: 86_400, marginSeconds: 3600 },
        ...(idleMs === undefined ? {} : { idleMs }),
      },
    );
    await until("the agent is ready", 20_000, () => this.agent.status().state === "ready");
    return this.#agent;
  }

  #counting(misses: MissKernel): MissKernel {
    return {
      watchMisses: (watcher) =>
        misses.watchMisses({
          ...watcher,
          onGap: () => {
            this.gaps++;
            watcher.onGap();
          },
        }),
      pending: (devs) => misses.pending(devs),
      answer: (ops) => misses.answer(ops),
      uses: (devs) => {
        this.onLook();
        return misses.uses(devs);
      },
    };
  }

  /** Ends the agent; what it programmed stays. */
  async stop(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = null;
    this.#kernel?.close();
    this.#kernel = null;
  }

  /** A container behind the host, in each family that it leases; answers `everyone`'s way back. */
  attach(): void {
    const { host, container } = this;
    const { lease } = this.agent.status();
    const subnets = lease?.subnets ?? [];
    const [inside, gateway] = [subnets.map((s) => at(s, 2)), subnets.map((s) => at(s, 1))];
    if (this.#options.bridged) {
      host.ip("link add cni0 type bridge");
      host.ip("link set cni0 up");
      for (const address of gateway) host.ip(`addr add ${address} dev cni0${nodad(address)}`);
      joinByVeth(
        { netns: host, dev: "port0", addresses: [] },
        { netns: container, dev: "eth0", addresses: inside },
      );
      host.ip("link set port0 master cni0");
    } else {
      joinByVeth(
        { netns: host, dev: "port0", addresses: gateway },
        { netns: container, dev: "eth0", addresses: inside },
      );
    }
    for (const address of gateway) {
      const family = address.includes(":") ? "-6 " : "";
      container.ip(`${family}route add default via ${address.slice(0, address.indexOf("/"))}`);
    }
    this.#knowTheWayBack(subnets);
  }

  /** Runs a program in the container; resolves with what it printed. */
  async run(...command: string[]): Promise<string> {
    const child = this.container.spawn(command);
    const [out] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    return out;
  }

  ping(...args: string[]): Promise<string> {
    return this.run("ping", "-n", ...args);
  }

  /** One ping to each address, one after the other; how many came back. */
  async pingEach(addresses: readonly string[], waitS = 4): Promise<number> {
    const script = `for ip in ${addresses.join(" ")}; do ping -n -q -c1 -W${waitS} $ip; done`;
    const out = await this.run("sh", "-c", script);
    return out.split(" 1 received").length - 1;
  }

  /** Neighbours and forwarding entries of ours on the tunnel devices, as iproute2 shows them. */
  entries(): { neighs: string[]; fdb: string[] } {
    const neighs = ["heddle.1", "heddle-v6.1"]
      .filter((dev) => this.host.ip("-br link").includes(`${dev} `))
      .flatMap((dev) => this.host.ipJson(`neigh show dev ${dev} nud permanent`));
    const fdb = this.host
      .bridgeJson("fdb show")
      .filter(({ ifname }) => String(ifname).startsWith("heddle"));
    const text = (rows: Record<string, unknown>[], key: string) =>
      rows.map((row) => String(row[key])).sort();
    return { neighs: text(neighs, "dst"), fdb: text(fdb, "dst") };
  }

  /** What the log alone says that the host should hold, in the form of `entries`. */
  told(): { neighs: string[]; fdb: string[] } {
    const { neighs, fdb } = desired(this.state(), NODE).kernel;
    return {
      neighs: Array.from(neighs.values(), ({ ip }) => ip).sort(),
      fdb: Array.from(fdb.values(), ({ dst }) => dst).sort(),
    };
  }

  async close(): Promise<void> {
    await this.stop();
    for (const netns of [this.container, this.host, this.peers]) netns[Symbol.dispose]();
  }

  #standIn(): void {
    const { peers } = this;
    for (const [dev, local] of [
      ["tun4", "198.19.255.254"],
      ["tun6", "2001:db8::ffff"],
    ] as const) {
      peers.ip(
        `link add ${dev} type vxlan id 1 dstport 8472 local ${local} dev eth0 nolearning` +
          `${dev === "tun6" ? " udp6zerocsumrx" : ""}`,
      );
      peers.ip(`link set ${dev} addrgenmode none`);
      peers.ip(`link set ${dev} up`);
    }
    // Every other address of the underlay and of the overlay is its own too.
    for (const route of ["198.18.0.0/15", "203.0.113.0/24", "10.0.0.0/8"]) {
      peers.ip(`route add local ${route} dev lo table main`);
    }
    peers.ip(`route add ${V4}/32 dev eth0 src 198.19.255.254`);
    peers.ip("-6 route add local fd00::/16 dev lo table main");
    peers.ip(`-6 route add local ${NUMBERED_V6} dev lo table main`);
    peers.ip(`-6 route add ${V6}/128 dev eth0`);
    peers.exec(
      ["nft", "-f", "-"],
      ["tun4", "tun6"]
        .map(
          (dev) =>
            `table netdev ${dev} { chain c { type filter hook ingress device ${dev} priority 0; ` +
            "meta pkttype set host; }; }",
        )
        .join("\n"),
    );
  }

  #knowTheWayBack(subnets: readonly string[]): void {
    const { peers } = this;
    for (const subnet of subnets) {
      const six = subnet.includes(":");
      const dev = six ? "tun6" : "tun4";
      const mac = vtepMac(FABRIC, NODE, six ? "ipv6" : "ipv4");
      // Without a gateway: to this namespace that would be an address of its own.
      peers.ip(`${six ? "-6 " : ""}route add ${subnet} dev ${dev}`);
      for (const address of [at(subnet, 0), at(subnet, 2)]) {
        const ip = address.slice(0, address.indexOf("/")).replace(/::0$/, "::");
        peers.ip(`neigh replace ${ip} lladdr ${mac} dev ${dev} nud permanent`);
      }
      peers.bridge(`fdb replace ${mac} dev ${dev} dst ${six ? V6 : V4} self permanent`);
    }
  }
}

/** Numbers from `first` to `last`. */
export function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function nodad(address: string): string {
  return address.includes(":") ? " nodad" : "";
}

/** The n-th address of a subnet, with the subnet's length. */
function at(subnet: string, n: number): string {
  const [network = "", length = ""] = subnet.split("/");
  return network.includes(":")
    ? `${network}${n}/${length}`
    : `${network.replace(/\.0$/, `.${n}`)}/${length}`;
}
