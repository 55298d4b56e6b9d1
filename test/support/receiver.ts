// Somebody who takes webhooks, on a loopback port of the kernel's choice, and answers as told.

export interface Received {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The body, read. */
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly subject?: string;
    readonly data: unknown;
  };
}

type Answer = (received: Received, count: number) => Response | Promise<Response>;

export class Receiver {
  readonly received: Received[] = [];
  /** `count` is how many have come, this one included. */
  answer: Answer = () => new Response();
  readonly #server: Bun.Server<undefined>;
  #waiting: (() => void)[] = [];

  constructor() {
    this.#server = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      fetch: async (request) => {
        const body = await request.text();
        const headers = Object.fromEntries(request.headers.entries());
        const { pathname: path } = new URL(request.url);
        const received = { path, headers, body, event: JSON.parse(body) as Received["event"] };
        const count = this.received.push(received);
        for (const wake of this.#waiting.splice(0)) wake();
        return await this.answer(received, count);
      },
    });
  }

  get url(): string {
    return this.#server.url.href;
  }

  /** Sequences in the order in which they came. */
  seqs(): readonly number[] {
    return this.received.map(({ event }) => Number(event.id));
  }

  /** Resolves when `isSo`, which is looked at after each that comes. */
  async until(isSo: (received: readonly Received[]) => boolean): Promise<readonly Received[]> {
    while (!isSo(this.received)) {
      const arrival = Promise.withResolvers<void>();
      this.#waiting.push(arrival.resolve);
      await arrival.promise;
    }
    return this.received;
  }

  async count(count: number): Promise<readonly Received[]> {
    return await this.until((received) => received.length >= count);
  }

  async close(): Promise<void> {
    await this.#server.stop(true);
  }
}
