// One attempt to deliver: resolve, check every address, connect to one of those that were checked
// and to nothing else, post, look at the status. Redirects are not followed, a proxy is not asked,
// and the answer's body is nobody's to see.

import { lookup } from "node:dns/promises";
import { type ClientRequest, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type Socket } from "node:net";
import { type AddressPolicy, isAllowed, refusalOf } from "./webhook-address.ts";

export type Resolve = (host: string) => Promise<readonly { readonly address: string }[]>;

export interface Parcel {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Attempt =
  | { readonly ok: true; readonly status: number }
  | { readonly ok: false; readonly status: number | null; readonly reason: string };

export interface DeliveryOptions {
  readonly policy: AddressPolicy;
  readonly resolve?: Resolve;
  /** From the start to the status of the answer. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

const TIMEOUT_MS = 15_000;
/** More of an answer is not waited for. */
const ANSWER_BYTES_MAX = 64 << 10;

const resolveByDns: Resolve = (host) => lookup(host, { all: true });

/** Never throws for what a receiver or the network does. */
export async function deliver(parcel: Parcel, options: DeliveryOptions): Promise<Attempt> {
  const { timeoutMs = TIMEOUT_MS, signal, policy, resolve = resolveByDns } = options;
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([deadline, signal]);
  try {
    const url = new URL(parcel.url);
    const addresses = await orAborted(addressesOf(url, policy, resolve), either);
    const status = await post(url, addresses, parcel, policy, either);
    if (status >= 200 && status < 300) return { ok: true, status };
    return { ok: false, status, reason: reasonOf(status) };
  } catch (error) {
    if (deadline.aborted) return failed(`no answer within ${timeoutMs / 1000} s`);
    return failed(error instanceof Error ? error.message : String(error));
  }
}

function failed(reason: string): Attempt {
  return { ok: false, status: null, reason };
}

function reasonOf(status: number): string {
  if (status >= 300 && status < 400) return `answered ${status}: redirects are not followed`;
  if (status === 410) return "answered 410: the receiver wants no more of these";
  return `answered ${status}`;
}

/** All of them must be good: which one is connected to is not ours to choose. */
async function addressesOf(
  { hostname, protocol }: URL,
  policy: AddressPolicy,
  resolve: Resolve,
): Promise<readonly string[]> {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const found = isIP(host) === 0 ? await resolve(host) : [{ address: host }];
  const addresses = found.map(({ address }) => address);
  if (addresses.length === 0) throw new Error(`${host} has no address`);
  for (const address of addresses) {
    const refusal = refusalOf(address, policy);
    if (refusal !== null) throw new Error(`refused: ${refusal}`);
    if (protocol !== "https:" && !isAllowed(address, policy)) {
      throw new Error(`refused: ${address} takes no http, only https`);
    }
  }
  return addresses;
}

function post(
  url: URL,
  addresses: readonly string[],
  { headers, body }: Parcel,
  policy: AddressPolicy,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const sent: ClientRequest = send(url, {
      ...{ method: "POST", agent: false, signal, lookup: only(addresses) },
      headers: {
        ...headers,
        "content-length": String(Buffer.byteLength(body)),
        connection: "close",
      },
    });
    sent.on("error", reject);
    sent.on("socket", (socket: Socket) => {
      // A second look, at what the kernel connected to: this must hold whatever a runtime does
      // with `lookup`.
      socket.once("connect", () => {
        const refusal = refusalOf(socket.remoteAddress ?? "", policy);
        if (refusal !== null) sent.destroy(new Error(`refused: connected to ${refusal}`));
      });
    });
    sent.on("response", (answer) => {
      resolve(answer.statusCode ?? 0);
      let bytes = 0;
      answer.on("error", () => undefined);
      answer.on("data", (chunk: Uint8Array) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) answer.destroy();
      });
    });
    sent.end(body);
  });
}

/** In place of a second look-up, which could answer otherwise than the one that was checked. */
function only(addresses: readonly string[]): NonNullable<RequestOptions["lookup"]> {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, done) => {
    const [first] = all;
    if (options.all || first === undefined) done(null, all);
    else done(null, first.address, first.family);
  };
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(new Error("stopped"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
