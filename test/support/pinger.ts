// A ping that goes on while a test does things to the network, and says afterwards what was lost.

import { inside } from "../../src/cli/dev-netns.ts";

export interface Pinged {
  readonly sent: number;
  /** Sequence numbers that were not answered; the last one may still have been on its way. */
  readonly lost: readonly number[];
}

export class Pinger {
  readonly #ping: Bun.Subprocess<"ignore", "pipe", "ignore">;
  readonly #output: Promise<string>;

  private constructor(ping: Bun.Subprocess<"ignore", "pipe", "ignore">) {
    this.#ping = ping;
    this.#output = new Response(ping.stdout).text();
  }

  /** A packet every 10 ms from a namespace, until `stop`. */
  static start(netns: string, address: string | null): Pinger {
    if (address === null) throw new Error(`nothing to ping from ${netns}`);
    const command = inside(netns, ["ping", "-n", "-i", "0.01", address]);
    const stdio = { stdin: "ignore", stdout: "pipe", stderr: "ignore" } as const;
    return new Pinger(Bun.spawn([...command], stdio));
  }

  async stop(): Promise<Pinged> {
    this.#ping.kill("SIGINT");
    const output = await this.#output;
    const sent = Number(/^(\d+) packets transmitted/m.exec(output)?.[1]);
    const answered = new Set<number>();
    for (const [, seq] of output.matchAll(/ bytes from \S+ icmp_seq=(\d+) /g)) {
      answered.add(Number(seq));
    }
    const lost: number[] = [];
    for (let seq = 1; seq < sent; seq++) if (!answered.has(seq & 0xffff)) lost.push(seq);
    return { sent, lost };
  }
}
