// A nats-server of a test's own, on a free port with a store in a temporary directory, that the
// test may restart, kill, freeze and roll back. Everything it made is gone after `close`.

import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "../../src/agent/nats-server.ts";
import { connectLog, type LogConnection, type LogOptions } from "../../src/events/log-jetstream.ts";
import { freeze } from "./freeze.ts";

export class TestNats {
  readonly #dir: string;
  readonly #extraConfig: string;
  readonly #connections: LogConnection[] = [];
  #server: NatsServer;
  #copies = 0;
  #frozen = false;

  private constructor(dir: string, extraConfig: string, server: NatsServer) {
    this.#dir = dir;
    this.#extraConfig = extraConfig;
    this.#server = server;
  }

  static async start(extraConfig = ""): Promise<TestNats> {
    const dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
    const server = await startNatsServer({ storeDir: join(dir, "store"), extraConfig });
    return new TestNats(dir, extraConfig, server);
  }

  get url(): string {
    return this.#server.url;
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Closed with the server. */
  async connect(fabric: string, options: Partial<LogOptions> = {}): Promise<LogConnection> {
    const connection = await connectLog({ servers: this.url, fabric, ...options });
    this.#connections.push(connection);
    return connection;
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }

  async kill9(): Promise<void> {
    this.#frozen = false;
    process.kill(this.pid, "SIGKILL");
    await this.#server.exited;
  }

  /** On the same port, with the same store. */
  async startAgain(): Promise<void> {
    const listen = new URL(this.url).host;
    const storeDir = join(this.#dir, "store");
    this.#server = await startNatsServer({ storeDir, listen, extraConfig: this.#extraConfig });
  }

  /** Resolves when every thread has stopped: the signal takes its time with those that run. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await freeze(this.pid);
  }

  thaw(): void {
    if (this.#frozen) process.kill(this.pid, "SIGCONT");
    this.#frozen = false;
  }

  /** Of a stopped server's store. */
  async copyStore(): Promise<string> {
    const copy = join(this.#dir, `copy-${++this.#copies}`);
    await cp(join(this.#dir, "store"), copy, { recursive: true });
    return copy;
  }

  /** Into a stopped server's store. */
  async restoreStore(copy: string): Promise<void> {
    await rm(join(this.#dir, "store"), { recursive: true, force: true });
    await cp(copy, join(this.#dir, "store"), { recursive: true });
  }

  async close(): Promise<void> {
    this.thaw();
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await this.#server.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
