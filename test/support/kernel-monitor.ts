// Listens to the kernel of one host with `ip monitor`, `bridge monitor` and `nft monitor`: what was
// changed there, by whomever. It listens for certain once `start` has resolved.

import { type TestFabric, until } from "./fabric.ts";

interface Listener {
  readonly command: string;
  /** Changes something of nobody's, which the listener then must tell. */
  readonly poke: string;
  readonly unpoke: string;
  readonly heard: string;
}

const LISTENERS: readonly Listener[] = [
  {
    command: "ip -o monitor link address route neigh nexthop",
    poke: "ip addr add 127.0.0.99/32 dev lo",
    unpoke: "ip addr del 127.0.0.99/32 dev lo",
    heard: "127.0.0.99",
  },
  {
    command: "bridge monitor fdb",
    poke: "bridge fdb add 02:00:00:00:00:63 dev ctr0-1 master static",
    unpoke: "bridge fdb del 02:00:00:00:00:63 dev ctr0-1 master",
    heard: "02:00:00:00:00:63",
  },
  {
    command: "nft monitor",
    poke: "nft add table ip poked",
    unpoke: "nft delete table ip poked",
    heard: "poked",
  },
];

export class KernelMonitor {
  readonly #fabric: TestFabric;
  readonly #netns: string;
  readonly #lines: string[] = [];
  readonly #children: Bun.Subprocess[] = [];
  readonly #readers: Promise<void>[] = [];

  private constructor(fabric: TestFabric, netns: string) {
    this.#fabric = fabric;
    this.#netns = netns;
  }

  /** The host must have a container already. */
  static async start(fabric: TestFabric, name: string): Promise<KernelMonitor> {
    const monitor = new KernelMonitor(fabric, fabric.host(name).netns);
    for (const listener of LISTENERS) monitor.#listen(listener.command);
    await monitor.flushed();
    return monitor;
  }

  /** What was told, line by line, of devices, routes and tables that match. */
  lines(pattern: RegExp): readonly string[] {
    return this.#lines.filter((line) => pattern.test(line));
  }

  /** Resolves when everything that happened before the call has been told. */
  async flushed(): Promise<void> {
    for (const { command, poke, unpoke, heard } of LISTENERS) {
      const known = this.#lines.length;
      // Repeated until heard, because the listener may only just be starting.
      await until(`${command} tells of ${heard}`, 5000, () => {
        for (const step of [poke, unpoke]) this.#fabric.exec(this.#netns, step.split(" "));
        return this.#lines.slice(known).some((line) => line.includes(heard));
      });
    }
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(this.#children.map((child) => child.exited));
    await Promise.all(this.#readers);
  }

  #listen(command: string): void {
    const child = this.#fabric.spawn(this.#netns, command.split(" "));
    this.#children.push(child);
    this.#readers.push(this.#read(child.stdout));
  }

  async #read(stdout: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      this.#lines.push(...lines);
    }
  }
}
