// Serves an app on a TCP port, with TLS if a certificate is given. It owns the socket and its
// limits; who may ask is the app's matter.

import { readFileSync } from "node:fs";
import type { HTMLBundle } from "bun";
import type { Connection } from "./context.ts";
import { openFiles, openFilesMax } from "./open-files.ts";

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

/** How often it is looked whether there are too many connections, or few enough again. */
const LOOK_MS = 100;

/**
 * A port that stops to listen while the process has more than `filesMax` files open, and so keeps
 * some for its other work. Bun then ends the connections on which nothing is asked, and lets
 * answers and streams go on; whoever comes meanwhile is refused by the kernel. Throws ListenError.
 */
export function serveTcp(
  app: Fetches,
  options: TcpOptions,
  filesMax: number = openFilesMax(),
): TcpServer {
  /** Those that do not listen any more and still answer. */
  const draining = new Set<Listener>();
  let listener: Listener | null = listen(app, options, options.port);
  const { url, port = options.port } = listener;

  function look(): void {
    const files = openFiles();
    if (listener !== null && files > filesMax) {
      const full = listener;
      listener = null;
      draining.add(full);
      void full.stop().then(() => draining.delete(full));
    } else if (listener === null && files <= filesMax) {
      try {
        listener = listen(app, options, port);
      } catch (error) {
        // Somebody else has the port for now: the next look tries again.
        if (!(error instanceof ListenError)) throw error;
      }
    }
  }

  const timer = setInterval(look, LOOK_MS);
  return {
    url: url.href.replace(/\/$/, ""),
    close: async () => {
      clearInterval(timer);
      const all = [...draining, ...(listener === null ? [] : [listener])];
      await Promise.all(all.map((each) => each.stop(true)));
    },
  };
}

type Listener = ReturnType<typeof Bun.serve>;

function listen(app: Fetches, { hostname, tls, page }: TcpOptions, port: number): Listener {
  const files =
    tls === undefined ? {} : { tls: { cert: pem(tls.certFile), key: pem(tls.keyFile) } };
  try {
    return Bun.serve({
      ...{ hostname, port, idleTimeout: IDLE_SECONDS, maxRequestBodySize: BODY_BYTES_MAX },
      ...files,
      ...(page === undefined ? {} : { routes: { "/": page }, development: false }),
      fetch: (request, socket) =>
        app.fetch(request, {
          address: socket.requestIP(request)?.address ?? "unknown",
          keepOpen: () => socket.timeout(request, 0),
        }),
    });
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
