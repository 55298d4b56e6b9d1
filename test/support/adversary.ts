// An underlay between two hosts that loses, doubles, delays, damages or swallows what carries the
// tunnel, by a seed, and counts what it did (native/test/adversary.c). The devices have no
// offloads, as a plain NIC: every frame is one packet on its own.
//
//   h1 eth0 ──── one (adversary) two ──── eth0 h2

import { joinByVeth, makeNetns, type Netns } from "./netns.ts";
import { underlayEnd } from "./tunnel.ts";
import { nativeTool } from "./tunnel-build.ts";

/** Rates in frames of 1000. */
export interface Faults {
  readonly seed: number;
  readonly loss?: number;
  readonly double?: number;
  readonly late?: number;
  readonly damage?: number;
  /** Greatest IP packet that passes; longer ones vanish without a word. */
  readonly mtu?: number;
}

type Fate = "seen" | "lost" | "doubled" | "late" | "damaged" | "big" | "passed";
/** What became of the UDP frames of one direction. */
export type Fates = Readonly<Record<Fate, number>>;

export class Adversary implements Disposable {
  readonly netns: Netns;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: { read(): Promise<{ readonly value?: string | undefined }> };

  private constructor(netns: Netns, faults: Faults) {
    const { seed, loss = 0, double = 0, late = 0, damage = 0, mtu = 0 } = faults;
    const numbers = [seed, loss, double, late, damage, mtu].map(String);
    this.netns = netns;
    this.#process = netns.spawn([nativeTool("adversary"), "one", "two", ...numbers]);
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static between(one: Netns, two: Netns, faults: Faults): Adversary {
    const netns = makeNetns();
    try {
      netns.exec(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
      joinByVeth(underlayEnd(one, 1), { netns, dev: "one", addresses: [] });
      joinByVeth(underlayEnd(two, 2), { netns, dev: "two", addresses: [] });
      for (const host of [one, two]) host.exec([nativeTool("offloads"), "eth0", "off"]);
      return new Adversary(netns, faults);
    } catch (error) {
      netns[Symbol.dispose]();
      throw error;
    }
  }

  /** Resolves once frames pass. */
  async ready(): Promise<void> {
    await this.#lines.read();
  }

  /** Ends it, after which nothing passes; returns both directions, from host one and from two. */
  async end(): Promise<readonly [Fates, Fates]> {
    this.#process.kill("SIGTERM");
    return JSON.parse((await this.#lines.read()).value ?? "[]") as [Fates, Fates];
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
    this.netns[Symbol.dispose]();
  }
}
