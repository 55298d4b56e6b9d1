// Two hosts whose first one's agent is followed by others, while pings flow between containers in
// both directions. Disposing ends the pings and removes the fabric, also after a failure.

import { TestFabric, until } from "./fabric.ts";
import { pingStream } from "./ping-stream.ts";
import type { Pinger } from "./pinger.ts";

export const NAMES = ["h1", "h2"] as const;

export type Agent = ReturnType<TestFabric["start"]>;

export class Succession {
  readonly fabric: TestFabric;
  /** The agent of h1 that others follow. */
  readonly first: Agent;
  #streams: Pinger[] = [];

  private constructor(fabric: TestFabric, first: Agent) {
    this.fabric = fabric;
    this.first = first;
  }

  /** Both agents ready, under this configuration. */
  static async start(document: object): Promise<Succession> {
    const fabric = await TestFabric.create({ hosts: NAMES.length });
    try {
      await fabric.init(document);
      const first = fabric.start("h1");
      fabric.start("h2");
      await fabric.ready(NAMES, 1);
      for (const name of NAMES) fabric.container(name);
      return new Succession(fabric, first);
    } catch (error) {
      await fabric.close();
      throw error;
    }
  }

  /** Pings in both directions, 200 a second each; resolves when they flow. */
  async flow(): Promise<void> {
    const args = "-i 0.005 -W 2";
    this.#streams = [
      pingStream(this.fabric, { from: "h1", to: "h2", args }),
      pingStream(this.fabric, { from: "h2", to: "h1", args }),
    ];
    await this.passed(50);
  }

  /** Waits until the container of h1 has received `packets` more. */
  async passed(packets: number): Promise<void> {
    const before = this.#inPackets();
    const arrived = (): boolean => this.#inPackets() >= before + packets;
    await until(`${packets} packets arrive`, 10_000, arrived);
  }

  /** Which were lost in either direction, when more have passed. */
  async lost(): Promise<(readonly number[])[]> {
    await this.passed(50);
    return (await Promise.all(this.#streams.map((stream) => stream.stop()))).map(
      (count) => count.lost,
    );
  }

  #inPackets(): number {
    const { netns } = this.fabric.container("h1");
    const six = this.fabric.exec(netns, ["cat", "/proc/net/snmp6"]).out;
    const four = this.fabric.exec(netns, ["cat", "/proc/net/snmp"]).out;
    const of = (pattern: RegExp, text: string): number => Number(pattern.exec(text)?.[1] ?? 0);
    return of(/Ip6InReceives\s+(\d+)/, six) + of(/^Ip: \d+ \d+ (\d+)/m, four);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all(this.#streams.map((stream) => stream.stop()));
    } finally {
      await this.fabric.close();
    }
  }
}
