// What a NATS connection is made with: where the servers are, who we are, and the timing that lets
// a dead server be noticed. Secrets come from files and never appear in a message.

import { readFile } from "node:fs/promises";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
} from "@nats-io/nats-core";
import { LogError } from "./log.ts";

export interface NatsOptions {
  /** `nats://[USER:PASSWORD@]HOST:PORT`, one or several of one cluster. */
  readonly servers: string | readonly string[];
  /** Shown in the server's own connection list. */
  readonly name?: string;
  readonly credsFile?: string;
  readonly nkeyFile?: string;
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
  /** For accounts that permit each host its own inbox only. */
  readonly inboxPrefix?: string;
  /** Of dialing and of each request. */
  readonly timeoutMs?: number;
  /** Return at once and dial until it works, instead of failing when nothing answers. */
  readonly keepTrying?: boolean;
}

export const REDIAL_MS = 250;

/** Reads the credentials anew, since they may have been renewed. Throws LogError. */
export async function connectionOptions(
  options: NatsOptions,
  timeoutMs: number,
): Promise<ConnectionOptions> {
  const servers = serverList(options);
  const authenticator = await authenticatorOf(options);
  // The client would report an unreadable file as a server that does not answer.
  for (const path of Object.values(options.tls ?? {})) await secret("tls", path);
  return {
    servers: servers.map(withoutCredentials),
    ...userOf(servers),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(options.tls === undefined ? {} : { tls: { ...options.tls } }),
    ...(authenticator === null ? {} : { authenticator }),
    // A frozen server in the list costs one dial timeout; the client's 20 s default costs 26 s.
    timeout: timeoutMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: REDIAL_MS,
    pingInterval: 2000,
    maxPingOut: 2,
    // Otherwise two authorisation errors in a row close the connection, whatever the attempts.
    ignoreAuthErrorAbort: true,
  };
}

/** For messages. */
export function shownServers(options: NatsOptions): string {
  return serverList(options).map(withoutCredentials).join(", ");
}

function serverList(options: NatsOptions): readonly string[] {
  return typeof options.servers === "string" ? [options.servers] : options.servers;
}

function withoutCredentials(server: string): string {
  return server.replace(/^([a-z]+:\/\/)?[^@/]*@/, "$1");
}

/** The client ignores credentials in a URL; the server's other tools honour them. */
function userOf(servers: readonly string[]): { user?: string; pass?: string; token?: string } {
  for (const server of servers) {
    const found = /^(?:[a-z]+:\/\/)?([^@:/]*)(?::([^@/]*))?@/.exec(server);
    if (found === null) continue;
    const [, user, pass] = found;
    if (pass === undefined) return { token: decodeURIComponent(user ?? "") };
    return { user: decodeURIComponent(user ?? ""), pass: decodeURIComponent(pass) };
  }
  return {};
}

async function authenticatorOf(options: NatsOptions): Promise<Authenticator | null> {
  if (options.credsFile !== undefined) {
    const creds = await secret("creds", options.credsFile);
    return tried("creds", options.credsFile, credsAuthenticator(creds));
  }
  if (options.nkeyFile === undefined) return null;
  const seed = new TextDecoder().decode(await secret("nkey", options.nkeyFile)).trim();
  const authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
  return tried("nkey", options.nkeyFile, authenticator);
}

/** The client would find out only while it dials, and report a closed connection. */
function tried(what: string, path: string, authenticator: Authenticator): Authenticator {
  try {
    authenticator("nonce");
    return authenticator;
  } catch (error) {
    throw new LogError("refused", `${path} is no ${what} file`, { cause: error });
  }
}

async function secret(what: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LogError("refused", `cannot read the ${what} file: ${reason}`, { cause: error });
  }
}
