// One supervised NATS connection. It owns dialing and the notice that the connection is gone; what
// is said over it belongs to the log and the status board.
//
// Invariant: `session()` returns only while the server is connected; whoever waits on something the
// server should send registers with `onDown`, because nothing else ends such a wait.

import { type JetStreamClient, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection, Status } from "@nats-io/nats-core";
import { LogError } from "./log.ts";
import { logErrorFrom } from "./log-jetstream-error.ts";
import {
  connectionOptions,
  type NatsOptions,
  REDIAL_MS,
  shownServers,
} from "./log-jetstream-options.ts";
import { connect } from "./nats-transport.ts";
import { refuseOldServer } from "./nats-version.ts";

export interface Session {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly inboxPrefix: string | undefined;
  readonly version: string;
}

const TIMEOUT_MS = 2000;
/** A server that is there answers within this, and whoever starts need not be told it is not. */
const FIRST_DIAL_MS = 250;

export class NatsLink {
  readonly timeoutMs: number;
  readonly #options: NatsOptions;
  readonly #listeners = new Set<(why: LogError) => void>();
  readonly #upWaiters = new Set<() => void>();
  #session: Session | null = null;
  #up = false;
  #closed = false;
  #version: string | null = null;
  #why = new LogError("unreachable", "not connected yet");
  #redial: ReturnType<typeof setTimeout> | null = null;

  constructor(options: NatsOptions) {
    this.#options = options;
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  async start(): Promise<void> {
    if (this.#options.keepTrying) {
      await Promise.race([this.#dialUntilUp(), Bun.sleep(FIRST_DIAL_MS)]);
    } else await this.#dial();
  }

  connected(): boolean {
    return this.#up;
  }

  closed(): boolean {
    return this.#closed;
  }

  /** Of the last server that answered. */
  version(): string | null {
    return this.#version;
  }

  /** Throws LogError when the connection is down. */
  session(): Session {
    if (this.#session === null || !this.#up) throw this.#why;
    return this.#session;
  }

  /** Calls `listener` when the connection is lost, or a publish without reply was refused. */
  onDown(listener: (why: LogError) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `work`, or a LogError as soon as the connection is lost: the client itself would sit out the
   *  whole timeout of a request whose answer can no longer come. */
  async ask<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session = this.session();
    const lost = Promise.withResolvers<never>();
    const forget = this.onDown((why) => {
      if (why.kind === "unreachable") lost.reject(why);
    });
    try {
      return await Promise.race([work(session), lost.promise]);
    } catch (error) {
      throw logErrorFrom(error);
    } finally {
      forget();
    }
  }

  /** Resolves when connected, or after `ms`. */
  async untilUp(ms: number): Promise<void> {
    if (this.#up || this.#closed || ms <= 0) return;
    const up = Promise.withResolvers<void>();
    const timer = setTimeout(up.resolve, ms);
    this.#upWaiters.add(up.resolve);
    await up.promise;
    clearTimeout(timer);
    this.#upWaiters.delete(up.resolve);
  }

  /** Connects anew: the way to the server has changed, which the client would notice in 6 s. */
  redial(): void {
    if (this.#up) void this.#session?.nc.reconnect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#redial !== null) clearTimeout(this.#redial);
    this.#down(new LogError("unreachable", "the connection was closed"));
    for (const resolve of this.#upWaiters) resolve();
    await this.#session?.nc.close();
  }

  async #dial(): Promise<void> {
    try {
      const nc = await connect(await connectionOptions(this.#options, this.timeoutMs));
      // From here on, so that a loss right after connecting is not missed.
      const statuses = nc.status();
      if (this.#closed) return await nc.close();
      const jsm = await jetstreamManager(nc, { timeout: this.timeoutMs, checkAPI: false });
      try {
        this.#raise(nc, jsm);
      } catch (error) {
        await nc.close();
        throw error;
      }
      void this.#watch(statuses, nc, jsm);
    } catch (error) {
      const cause = logErrorFrom(error);
      const where = shownServers(this.#options);
      this.#why = new LogError(cause.kind, `${where}: ${cause.message}`, { cause: error });
      throw this.#why;
    }
  }

  /** Resolves after the first attempt. */
  #dialUntilUp(): Promise<void> {
    return this.#dial().catch(() => {
      // The reason is in #why, which every call throws meanwhile.
      if (!this.#closed) this.#redial = setTimeout(() => void this.#dialUntilUp(), REDIAL_MS);
    });
  }

  /** Throws LogError; servers of one cluster may differ in version, so each one is asked. */
  #raise(nc: NatsConnection, jsm: JetStreamManager): void {
    const version = nc.info?.version ?? "0.0.0";
    this.#version = version;
    refuseOldServer(version);
    const { inboxPrefix } = this.#options;
    this.#session = { nc, js: jsm.jetstream(), jsm, inboxPrefix, version };
    this.#up = true;
    for (const resolve of this.#upWaiters) resolve();
  }

  #raiseAgain(nc: NatsConnection, jsm: JetStreamManager): void {
    try {
      this.#raise(nc, jsm);
    } catch (error) {
      this.#down(logErrorFrom(error));
    }
  }

  #down(why: LogError): void {
    this.#up = false;
    this.#why = why;
    this.#tell(why);
  }

  #complaint(why: LogError): void {
    if (why.kind !== "refused") return;
    if (this.#up) this.#tell(why);
    else this.#why = new LogError("unreachable", why.message, { cause: why });
  }

  #tell(why: LogError): void {
    for (const listener of [...this.#listeners]) listener(why);
  }

  async #watch(
    statuses: AsyncIterable<Status>,
    nc: NatsConnection,
    jsm: JetStreamManager,
  ): Promise<void> {
    for await (const status of statuses) {
      if (status.type === "disconnect") {
        this.#down(new LogError("unreachable", `${status.server}: connection lost`));
      } else if (status.type === "reconnect") this.#raiseAgain(nc, jsm);
      else if (status.type === "error") this.#complaint(logErrorFrom(status.error));
    }
    // The client gives up for good when its credentials have expired; fresh ones may be in the
    // file.
    if (this.#closed) return;
    this.#down(new LogError("unreachable", "connection closed by the server"));
    void this.#dialUntilUp();
  }
}
