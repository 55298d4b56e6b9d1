// The nats-server of a test's fabric, inside the switch's namespace, to be stopped, killed, frozen
// and rolled back while the agents run. It keeps its address and its store; the fabric ends it.

import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "../../src/agent/nats-server.ts";
import type { DevFabric } from "../../src/cli/dev-fabric.ts";
import { inside } from "../../src/cli/dev-netns.ts";
import { freeze } from "./freeze.ts";

export class FabricLog {
  #server: NatsServer;
  readonly #dir: string;
  readonly #switch: string;
  #copies = 0;
  #frozen = false;

  constructor(dev: DevFabric, dir: string) {
    this.#server = dev.server;
    this.#switch = dev.switch;
    this.#dir = dir;
  }

  /** The one that runs now, or ran last. */
  get server(): NatsServer {
    return this.#server;
  }

  /** Of the server; for who changes it while the server is stopped. */
  get storeDir(): string {
    return join(this.#dir, "nats");
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** On the same address, with the same store. */
  async start(): Promise<void> {
    const listen = new URL(this.#server.url).host;
    const enter = inside(this.#switch, []);
    this.#server = await startNatsServer({ storeDir: this.storeDir, listen, enter });
  }

  /** Resolves when every thread has stopped: the signal takes its time with those that run. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await freeze(this.#server.pid);
  }

  thaw(): void {
    if (this.#frozen) process.kill(this.#server.pid, "SIGCONT");
    this.#frozen = false;
  }

  /** Of a stopped server's store. */
  async copyStore(): Promise<string> {
    const copy = join(this.#dir, `nats-copy-${++this.#copies}`);
    await cp(this.storeDir, copy, { recursive: true });
    return copy;
  }

  /** Into a stopped server's store. */
  async restoreStore(copy: string): Promise<void> {
    await rm(this.storeDir, { recursive: true, force: true });
    await cp(copy, this.storeDir, { recursive: true });
  }
}
