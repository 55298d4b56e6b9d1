// A netlink notification socket in the event loop. When the kernel drops notifications it closes
// the socket with ENOBUFS; the socket is then opened again, for as long as it takes.

import { NativeError } from "../libc.ts";

export interface ListenerOptions {
  /** A subscribed socket, which is closed by the listener; null when there is nothing to hear. */
  readonly subscribe: () => number | null;
  readonly onDatagram: (datagram: Uint8Array) => void;
  /** Whatever happened until now may have gone unheard. Also after each attempt in vain. */
  readonly onLost?: () => void;
  /** Between two attempts to open it again; the first is made at once. */
  readonly reopenMs: number;
}

/** Listens from construction on. */
export class Listener {
  readonly #options: ListenerOptions;
  #socket: { end(): void } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /** Throws NativeError. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.end();
  }

  #open(): void {
    const fd = this.#options.subscribe();
    if (fd !== null) void this.#listen(fd);
  }

  async #listen(fd: number): Promise<void> {
    // The overload for { fd } is missing in @types/bun; FdSocketOptions itself is there.
    const connect = Bun.connect as unknown as (options: Bun.FdSocketOptions) => Promise<Bun.Socket>;
    try {
      const connected = await connect({
        fd,
        socket: {
          data: (_, datagram) => {
            if (!this.#closed) this.#options.onDatagram(datagram);
          },
          close: () => this.#lost(),
        },
      });
      if (this.#closed) connected.end();
      else this.#socket = connected;
    } catch {
      // Whether Bun has closed the descriptor is unknown, and closing it twice could hit another.
      this.#retryLater();
    }
  }

  #lost(): void {
    this.#socket = null;
    if (this.#closed) return;
    try {
      this.#open();
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      this.#retryLater();
    }
    this.#options.onLost?.();
  }

  #retryLater(): void {
    this.#timer = setTimeout(() => this.#lost(), this.#options.reopenMs);
  }
}
