// A ping that goes on while a test does things to the network, and says afterwards what was lost.

import { inside } from "../../src/cli/dev-netns.ts";
import { until } from "./fabric.ts";
import { mortal } from "./mortal.ts";

export interface Pinged {
  readonly sent: number;
  /** Sequence numbers that were not answered. */
  readonly lost: readonly number[];
}

const ANSWER_MS = 3000;

export class Pinger {
  readonly #ping: Bun.Subprocess<"ignore", "pipe", "ignore">;
  readonly #output: Promise<string>;
  readonly #answered = new Set<number>();
  #last = 0;

  private constructor(ping: Bun.Subprocess<"ignore", "pipe", "ignore">) {
    this.#ping = ping;
    this.#output = this.#read();
  }

  /** A packet every 10 ms from a namespace, or as ping's arguments say, until `stop`. */
  static start(netns: string, address: string | null, args = "-i 0.01"): Pinger {
    if (address === null) throw new Error(`nothing to ping from ${netns}`);
    const command = inside(netns, ["ping", "-n", ...args.split(" "), address]);
    const stdio = { stdin: "ignore", stdout: "pipe", stderr: "ignore" } as const;
    return new Pinger(Bun.spawn(mortal(command), stdio));
  }

  /**
   * Ends it after one more answer: what was sent after that is on its way, and not lost. Where no
   * answer comes, it is.
   */
  async stop(): Promise<Pinged> {
    const known = this.#last;
    const goesOn = await until("an answer", ANSWER_MS, () => {
      return this.#last > known || this.#ping.exitCode !== null;
    }).then(
      () => true,
      () => false,
    );
    this.#ping.kill("SIGINT");
    const output = await this.#output;
    const [, sent] = /^(\d+) packets transmitted/m.exec(output) ?? [];
    if (sent === undefined) throw new Error(`ping said: ${output}`);
    const lost: number[] = [];
    const end = goesOn ? this.#last : Number(sent);
    for (let seq = 1; seq <= end; seq++) if (!this.#answered.has(seq)) lost.push(seq);
    return { sent: Number(sent), lost };
  }

  async #read(): Promise<string> {
    let text = "";
    let rest = "";
    for await (const chunk of this.#ping.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [, seq] = / bytes from \S+ icmp_seq=(\d+) /.exec(line) ?? [];
        if (seq === undefined) continue;
        this.#answered.add(Number(seq));
        this.#last = Math.max(this.#last, Number(seq));
      }
    }
    return text;
  }
}
