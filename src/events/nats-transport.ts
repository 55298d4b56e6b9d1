// The socket under the NATS client: Bun's own. The client's transport is a node:net stream, which
// costs each record 0.1 ms on its way up (docs/benchmarks.md) and each start the loading of streams
// and TLS. This one is for connections without TLS; where that is configured, or the server speaks
// it, the client's own transport is put in its place.
// What it receives goes through a splitter, so that a reader gets its records from there.
//
// Invariant: bytes keep their order in both directions, and the end of the connection is told once.

import {
  ConnectionError,
  type ConnectionOptions,
  DataBuffer,
  extractProtocolMessage,
  INFO,
  type NatsConnection,
  NatsConnectionImpl,
  ProtocolHandler,
  type Server,
  type ServerInfo,
  type Subscription,
  setTransportFactory,
  type Transport,
} from "@nats-io/nats-core/internal";
import { FrameSplitter, type Take } from "./nats-splitter.ts";

export async function connect(options: ConnectionOptions): Promise<NatsConnection> {
  setTransportFactory({
    factory: () => new SocketTransport(),
    dnsResolveFn: async (host) => (await Bun.dns.lookup(host)).map(({ address }) => address),
  });
  // As the client's own connect() does it, which shows the one who dials only when it is connected.
  const nc: NatsConnectionImpl = Reflect.construct(NatsConnectionImpl, [options]);
  nc.protocol = new ProtocolHandler(nc.options, nc);
  dialers.set(nc.options, nc.protocol);
  await nc.protocol.dialLoop();
  return nc as NatsConnection;
}

/** By what a transport learns of them. */
const dialers = new WeakMap<ConnectionOptions, ProtocolHandler>();

/**
 * Gives messages of the subscription to `take` before the client sees them, until the returned
 * function is called or the connection is lost. With TLS the client gets them all.
 */
export function claim(nc: NatsConnection, subscription: Subscription, take: Take): () => void {
  const { transport } = (nc as NatsConnectionImpl).protocol;
  if (!(transport instanceof SocketTransport)) throw new Error("not a connection of ours");
  return transport.claim(subscription.getID(), take);
}

/** More than a server has to say of the largest cluster. */
const GREETING_BYTES_MAX = 1_048_576;

class SocketTransport implements Transport, AsyncIterableIterator<Uint8Array> {
  /** What the server's connection list shows. */
  readonly lang = "nats.js";
  readonly version = "3.4.0";
  closeError?: Error;
  readonly #ended = Promise.withResolvers<undefined | Error>();
  #secure: Transport | null = null;
  #socket: Bun.Socket<undefined> | null = null;
  #connected = false;
  #done = false;
  /** Received and not asked for yet. */
  #received: Uint8Array[] = [];
  #asked: ((result: IteratorResult<Uint8Array, undefined>) => void) | null = null;
  readonly #splitter = new FrameSplitter((bytes) => this.#receive(bytes), GREETING_BYTES_MAX);
  /** What the socket had no room for. */
  #unsent: Uint8Array[] = [];

  get isClosed(): boolean {
    return this.#secure?.isClosed ?? this.#done;
  }

  async connect(server: Server, options: ConnectionOptions): Promise<void> {
    if (options.tls || !(await this.#connectPlain(server))) {
      await this.#connectSecure(server, options);
    }
    this.#failWhenHungUp(dialers.get(options));
  }

  closed(): Promise<undefined | Error> {
    return this.#ended.promise;
  }

  isEncrypted(): boolean {
    return this.#secure?.isEncrypted() ?? false;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#secure?.[Symbol.asyncIterator]() ?? this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const value = this.#received.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#done) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#asked = resolve;
    });
  }

  send(frame: Uint8Array): void {
    if (this.#secure !== null) this.#secure.send(frame);
    else if (!this.#done && this.#unsent.push(frame) === 1) this.#flush();
  }

  async close(error?: Error): Promise<void> {
    if (this.#secure !== null) return await this.#secure.close(error);
    this.#end(error);
  }

  disconnect(): void {
    if (this.#secure === null) this.#end();
    else this.#secure.disconnect();
  }

  /** There is a successor: nobody is told. */
  discard(): void {
    this.#connected = false;
    this.#secure?.discard();
    this.#end();
  }

  claim(sid: number, take: Take): () => void {
    this.#splitter.claim(sid, take);
    return () => this.#splitter.release(sid);
  }

  /** False, and not connected, when the server speaks TLS. */
  async #connectPlain({ hostname, port }: Server): Promise<boolean> {
    const handler: Bun.SocketHandler<undefined> = {
      data: (_, chunk) => this.#splitter.split(chunk),
      drain: () => this.#flush(),
      error: (_, error) => {
        this.closeError = error;
      },
      close: () => {
        if (this.#secure === null) this.#end();
      },
    };
    const dialing = Bun.connect<undefined>({ hostname, port, socket: handler });
    const socket = await dialing.catch((error) => {
      throw refusal(error, `${hostname}:${port}`);
    });
    // Given up meanwhile.
    if (this.#done) socket.end();
    this.#socket = socket;
    socket.setNoDelay(true);
    const { tls_required, tls_available } = await this.#greeting();
    this.#connected = !tls_required && !tls_available;
    return this.#connected;
  }

  /** What the server says first; the client reads it again. */
  async #greeting(): Promise<ServerInfo> {
    let read = new Uint8Array(0);
    for (;;) {
      const { value } = await this.next();
      if (value === undefined) throw this.closeError ?? new ConnectionError("closed by the server");
      read = DataBuffer.concat(read, value) as Uint8Array<ArrayBuffer>;
      const line = extractProtocolMessage(read);
      if (line === "" && read.length < GREETING_BYTES_MAX) continue;
      const [, info] = INFO.exec(line) ?? [];
      if (info === undefined) throw new ConnectionError("unexpected response from server");
      this.#received.unshift(read);
      return JSON.parse(info) as ServerInfo;
    }
  }

  /** A server that is full greets, says so and hangs up; the client would wait for the timeout. */
  #failWhenHungUp(dialer: ProtocolHandler | undefined): void {
    const before = dialer?.lastError;
    void this.closed().then((error) => {
      // Does nothing once the server has let us in.
      if (dialer?.transport !== this) return;
      const said = dialer.lastError === before ? undefined : dialer.lastError;
      dialer.connectError?.(error ?? said ?? new ConnectionError("closed by the server"));
    });
  }

  async #connectSecure(server: Server, options: ConnectionOptions): Promise<void> {
    const { NodeTransport } = await import("@nats-io/transport-node/lib/node_transport.js");
    const secure = new NodeTransport();
    void secure.closed().then((error) => this.#tell(error ?? undefined));
    this.#secure = secure;
    this.#socket?.end();
    if (this.#done) secure.discard();
    await secure.connect(server, options);
  }

  #receive(chunk: Uint8Array): void {
    const asked = this.#asked;
    this.#asked = null;
    if (asked === null) this.#received.push(chunk);
    else asked({ done: false, value: chunk });
  }

  #flush(): void {
    for (;;) {
      const [frame] = this.#unsent;
      if (frame === undefined || this.#done) return;
      const written = Math.max(0, this.#socket?.write(frame) ?? 0);
      if (written < frame.length) {
        this.#unsent[0] = frame.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
  }

  #end(error = this.closeError): void {
    if (this.#done) return;
    this.#done = true;
    this.#socket?.end();
    this.#asked?.({ done: true, value: undefined });
    if (this.#connected) this.#tell(error);
  }

  #tell(error: Error | undefined): void {
    if (error !== undefined) this.closeError = error;
    this.#ended.resolve(error);
  }
}

function refusal(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  if (error.code === "ECONNREFUSED")
    return new ConnectionError("connection refused", { cause: error });
  const connecting = "syscall" in error && error.syscall === "connect";
  return connecting
    ? new ConnectionError(`connect ${error.code} ${where}`, { cause: error })
    : error;
}
