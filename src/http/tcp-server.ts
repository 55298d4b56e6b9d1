// Serves an app on a TCP port, with TLS if a certificate is given. It owns the socket and its
// limits; who may ask is the app's matter.

import { readFileSync } from "node:fs";
import type { HTMLBundle } from "bun";
import type { Connection } from "./context.ts";

export interface TcpOptions {
  readonly hostname: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Served at `/` with what it refers to; it holds no data, so it asks for no token. */
  readonly page?: HTMLBundle;
}

export interface TcpServer {
  /** `http://127.0.0.1:8480` */
  readonly url: string;
  close(): Promise<void>;
}

/** One line: which address or file, and why it cannot be served. */
class ListenError extends Error {
  override readonly name = "ListenError";
}

interface Fetches {
  fetch(request: Request, connection: Connection): Response | Promise<Response>;
}

/** A client that neither sends nor takes anything for so long is gone. */
const IDLE_SECONDS = 30;
/** The app refuses at less, with a reason; this is what is read of a body at all. */
const BODY_BYTES_MAX = 1 << 20;

/** Throws ListenError. */
export function serveTcp(app: Fetches, options: TcpOptions): TcpServer {
  const { hostname, port, tls, page } = options;
  const files =
    tls === undefined ? {} : { tls: { cert: pem(tls.certFile), key: pem(tls.keyFile) } };
  try {
    const server = Bun.serve({
      ...{ hostname, port, idleTimeout: IDLE_SECONDS, maxRequestBodySize: BODY_BYTES_MAX },
      ...files,
      ...(page === undefined ? {} : { routes: { "/": page }, development: false }),
      fetch: (request, socket) =>
        app.fetch(request, {
          address: socket.requestIP(request)?.address ?? "unknown",
          keepOpen: () => socket.timeout(request, 0),
        }),
    });
    return { url: server.url.href.replace(/\/$/, ""), close: () => server.stop(true) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ListenError(`${hostname}:${port}: ${reason}`, { cause: error });
  }
}

function pem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ListenError(`cannot read ${file}: ${reason}`, { cause: error });
  }
}
