// One frame in the bytes of a NATS connection, found without a string or a copy. A message is
// `MSG subject sid [reply] bytes` or `HMSG subject sid [reply] header-bytes bytes` in a line, then
// that many bytes and CR LF; all else is a line (docs.nats.io, "Client Protocol"). Only what is
// written by servers is known here: capitals, and one space between two words.

/** Offsets into the bytes that it was found in. */
export interface Frame {
  /** Of the subscription; 0 for what is no message. */
  readonly sid: number;
  readonly subjectAt: number;
  readonly subjectEnd: number;
  readonly replyAt: number;
  /** `replyAt` when there is no reply subject. */
  readonly replyEnd: number;
  /** Behind the headers. */
  readonly payloadAt: number;
  readonly payloadEnd: number;
  /** Where the next frame begins; beyond the bytes when the payload is not whole yet. */
  readonly end: number;
}

const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;
const H = 0x48;
const MSG = bytesOf("MSG ");
/** INFO, PING and PONG, +OK, -ERR. */
const LINES = bytesOf("IP+-");
/** As the client has them. */
const DIGITS_MAX = 15;
const SMALL_DIGITS = 9;
const MESSAGE_BYTES_MAX = 64 << 20;

/** `cut` when its line is not whole yet, `strange` when it is not what a server writes. */
export function frameAt(bytes: Uint8Array, at: number): Frame | "cut" | "strange" {
  const hasHeaders = bytes[at] === H;
  const msgAt = hasHeaders ? at + 1 : at;
  if (bytes[msgAt] !== MSG[0]) return hasHeaders ? unknownAt(bytes, msgAt) : lineAt(bytes, at);
  for (let i = 1; i < MSG.length; i++) {
    if (bytes[msgAt + i] !== MSG[i]) return unknownAt(bytes, msgAt + i);
  }
  const subjectAt = msgAt + MSG.length;
  const subjectEnd = wordEnd(bytes, subjectAt);
  const sidEnd = wordEnd(bytes, subjectEnd + 1);
  const first = sidEnd + 1;
  const firstEnd = wordEnd(bytes, first);
  const secondEnd = bytes[firstEnd] === SPACE ? wordEnd(bytes, firstEnd + 1) : firstEnd;
  const lineEnd = bytes[secondEnd] === SPACE ? wordEnd(bytes, secondEnd + 1) : secondEnd;
  if (lineEnd + 1 >= bytes.length) return "cut";

  const hasReply = hasHeaders ? lineEnd > secondEnd : secondEnd > firstEnd;
  const numbersAt = hasReply ? firstEnd + 1 : first;
  const sizeAt = hasHeaders ? (hasReply ? secondEnd : firstEnd) + 1 : numbersAt;
  const sid = numberIn(bytes, subjectEnd + 1, sidEnd);
  const headers = hasHeaders ? numberIn(bytes, numbersAt, sizeAt - 1) : 0;
  const size = numberIn(bytes, sizeAt, lineEnd);
  const payloadEnd = lineEnd + 2 + size;
  const isSound = sid > 0 && headers >= 0 && size >= headers && size <= MESSAGE_BYTES_MAX;
  if (!isSound || !endsLine(bytes, lineEnd) || !endsLine(bytes, payloadEnd)) return "strange";
  return {
    sid,
    subjectAt,
    subjectEnd,
    replyAt: first,
    replyEnd: hasReply ? firstEnd : first,
    payloadAt: lineEnd + 2 + headers,
    payloadEnd,
    end: payloadEnd + 2,
  };
}

/** What `[from, to)` says in digits; -1 when it says something else. */
export function numberIn(bytes: Uint8Array, from: number, to: number): number {
  const length = to - from;
  if (length > DIGITS_MAX) return -1;
  if (length <= SMALL_DIGITS) return smallIn(bytes, from, to);
  const middle = to - SMALL_DIGITS;
  const high = smallIn(bytes, from, middle);
  const low = smallIn(bytes, middle, to);
  return high < 0 || low < 0 ? -1 : high * 10 ** SMALL_DIGITS + low;
}

/** Below 2^31: a sum that outgrew the compiler's integers would be compiled twice. */
function smallIn(bytes: Uint8Array, from: number, to: number): number {
  if (to <= from) return -1;
  let number = 0;
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}

function lineAt(bytes: Uint8Array, at: number): Frame | "cut" | "strange" {
  if (!LINES.includes(bytes[at] ?? 0)) return "strange";
  const end = bytes.indexOf(LF, at) + 1;
  if (end === 0) return "cut";
  const [subjectAt, subjectEnd, replyAt, replyEnd] = [at, at, at, at];
  return { sid: 0, subjectAt, subjectEnd, replyAt, replyEnd, payloadAt: end, payloadEnd: end, end };
}

function unknownAt(bytes: Uint8Array, at: number): "cut" | "strange" {
  return at < bytes.length ? "strange" : "cut";
}

function wordEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while ((bytes[at] ?? 0) > SPACE) at++;
  return at;
}

/** Or may: what has not come yet is not held against it. */
function endsLine(bytes: Uint8Array, at: number): boolean {
  const next = at + 1;
  return (at >= bytes.length || bytes[at] === CR) && (next >= bytes.length || bytes[next] === LF);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
