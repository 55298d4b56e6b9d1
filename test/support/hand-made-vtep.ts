// A host that knows nothing of Heddle, on the wire of a test fabric, with a VXLAN device made by
// hand as any manual shows it: `group` for multicast, or an entry of the zero MAC per host.

import { addNetns, addVeth, deleteNetns, inside, ip, run } from "../../src/cli/dev-netns.ts";
import type { TestFabric } from "./fabric.ts";

export interface HandMadeOptions {
  readonly vni: number;
  /** Whether it travels over IPv6. */
  readonly six: boolean;
  readonly group: string | null;
  /** Underlay addresses of the others; used without a group. */
  readonly hosts: readonly string[];
  /** Its own addresses in the segment. */
  readonly addresses: readonly string[];
}

export class HandMade {
  readonly netns: string;
  /** On the underlay. */
  readonly ip: string;
  readonly #options: HandMadeOptions;

  private constructor(netns: string, options: HandMadeOptions) {
    this.netns = netns;
    this.ip = options.six ? "fd00:198:18::200" : "198.18.0.200";
    this.#options = options;
  }

  static join(fabric: TestFabric, options: HandMadeOptions): HandMade {
    const wire = fabric.dev.switch;
    const self = new HandMade(`${wire}-hand`, options);
    const { netns } = self;
    addNetns(netns);
    try {
      addVeth({ netns: wire, dev: "hand" }, { netns, dev: "eth0" });
      ip(wire, "link set hand master br0 up");
      run(inside(netns, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"]));
      ip(
        netns,
        `addr add ${self.ip}/${options.six ? 64 : 24} dev eth0${options.six ? " nodad" : ""}`,
      );
      ip(netns, "link set eth0 up");
      self.#makeDevice();
    } catch (error) {
      deleteNetns(netns);
      throw error;
    }
    return self;
  }

  #makeDevice(): void {
    const { vni, group, hosts, addresses } = this.#options;
    const to = group === null ? "" : ` group ${group}`;
    ip(this.netns, `link add vx0 type vxlan id ${vni} dev eth0 local ${this.ip}${to} dstport 8472`);
    ip(this.netns, "link set vx0 up");
    for (const host of group === null ? hosts : []) {
      const entry = ["fdb", "append", "00:00:00:00:00:00", "dev", "vx0", "dst", host];
      run(["bridge", "-n", this.netns, ...entry]);
    }
    for (const address of addresses) {
      ip(this.netns, `addr add ${address} dev vx0${address.includes(":") ? " nodad" : ""}`);
    }
  }

  /** Drops the device with all it learnt and makes it anew. */
  forget(): void {
    ip(this.netns, "link del vx0");
    this.#makeDevice();
  }

  [Symbol.dispose](): void {
    deleteNetns(this.netns);
  }
}
