// Bearer tokens: their text, and whether one of the log's tokens it is. A token is 256 random bits
// behind its own name, so the log keeps a plain SHA-256 of it (nothing shorter could be guessed)
// and a person who finds one knows which to revoke.
//
// Invariant: the text of a token is in no message, log line or event.

import { timingSafeEqual } from "node:crypto";
import type { FabricState, Token, TokenScope } from "../events/state.ts";
import type { Caller } from "./context.ts";

const SECRET_BYTES = 32;
/** A name holds no "_", so the first one after the prefix ends it. */
const TOKEN = /^heddle_([A-Za-z0-9][A-Za-z0-9.-]{0,62})_[A-Za-z0-9_-]{43}$/;

/** A new token: the text to hand out once, and what the log keeps of it. */
export function newToken(name: string): { readonly text: string; readonly hash: string } {
  const secret = crypto.getRandomValues(Buffer.alloc(SECRET_BYTES)).toString("base64url");
  const text = `heddle_${name}_${secret}`;
  return { text, hash: hashOf(text).toString("hex") };
}

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** The token in an Authorization header; null when it holds none. */
export function bearerOf(header: string): string | null {
  return BEARER.exec(header)?.[1] ?? null;
}

export type Verified =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly reason: string };

/** `nowMs` is the later of the log's time and the wall clock: a token never lives longer. */
export function verify(state: Readonly<FabricState>, text: string, nowMs: number): Verified {
  const name = TOKEN.exec(text)?.[1];
  if (name === undefined) return refuse("the bearer token is not one of Heddle's");
  const token = state.tokens.get(name);
  if (token === undefined || !isSame(token, text)) {
    return refuse(`the token is unknown or revoked: ${name}`);
  }
  if (token.expiresAt !== null && nowMs >= Date.parse(token.expiresAt)) {
    return refuse(`the token ${name} expired at ${token.expiresAt}`);
  }
  return { ok: true, caller: { token: name, scopes: token.scopes } };
}

const RANK: Readonly<Record<TokenScope, number>> = { read: 0, write: 1, admin: 2 };

/** Each scope holds those before it: read, write, admin. */
export function mayDo(caller: Caller, scope: TokenScope): boolean {
  return caller.scopes.some((held) => RANK[held] >= RANK[scope]);
}

function isSame(token: Token, text: string): boolean {
  return timingSafeEqual(Buffer.from(token.hash, "hex"), hashOf(text));
}

function hashOf(text: string): Buffer {
  return Buffer.from(Bun.SHA256.hash(text) as unknown as Uint8Array);
}

function refuse(reason: string): Verified {
  return { ok: false, reason };
}
