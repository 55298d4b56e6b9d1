// From flags to where an HTTP surface listens.

import type { TcpOptions } from "../http/tcp-server.ts";
import { misuse } from "./failure.ts";
import type { HttpFlags } from "./flags.ts";

const DEFAULT_HTTP = "127.0.0.1:8480";

/** Throws Failure. */
export function httpOptions(flags: HttpFlags): TcpOptions {
  const { http = DEFAULT_HTTP, httpTlsCert, httpTlsKey } = flags;
  const { hostname, port } = addressOf(http);
  if (httpTlsCert === undefined && httpTlsKey === undefined) return { hostname, port };
  if (httpTlsCert === undefined) throw misuse("--http-tls-key", "expected --http-tls-cert too");
  if (httpTlsKey === undefined) throw misuse("--http-tls-cert", "expected --http-tls-key too");
  return { hostname, port, tls: { certFile: httpTlsCert, keyFile: httpTlsKey } };
}

/** `[::1]:80` as "::1" and 80; the flag's check has seen it. */
function addressOf(text: string): { hostname: string; port: number } {
  const colon = text.lastIndexOf(":");
  const port = Number(text.slice(colon + 1));
  if (port > 65_535) throw misuse(`--http ${text}`, "expected a port up to 65535");
  return { hostname: text.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port };
}
