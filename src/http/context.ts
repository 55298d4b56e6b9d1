// What every request carries through the app: who asks, from where, and a word with the socket.

import type { TokenScope } from "../events/state.ts";

/** Who sent a request, as its token says. */
export interface Caller {
  /** Name of the token. */
  readonly token: string;
  readonly scopes: readonly TokenScope[];
}

/** The connection a request came by; absent in tests that call the app without a socket. */
export interface Connection {
  /** Address of the client, without its port. */
  readonly address: string;
  /** Lifts the limit on how long the connection may be idle: for answers that take their time. */
  keepOpen(): void;
}

export interface Env {
  Bindings: Partial<Connection>;
  Variables: {
    /** Null until a token was found good; `refusal` then says why not. */
    caller: Caller | null;
    refusal: string | null;
  };
}
