// IPv6 addresses between text and eight groups of 16 bits, for the canonical form only (RFC 5952,
// as ipaddr.js writes it: lower case, the first of the longest runs of two zero groups or more
// becomes "::"). By hand, because a log of 10 000 nodes names 10 000 of them once each, and the
// general parser took 5 us for one. What is written otherwise is address.ts's to read.

const GROUPS = 8;
const COLON = 58;
const ZERO = 48;
const NINE = 57;
const LOWER_A = 97;
const LOWER_F = 102;

/**
 * Groups without a zero among them around one gap of two or more, six groups at most: what most
 * addresses look like. The engine compiles this before it compiles any loop. `end` is what follows
 * the address, as an assertion.
 */
export function canonicalIpv6(end: string): string {
  const group = "[1-9a-f][\\da-f]{0,3}";
  const sixAtMost = `(?=:*(?:[\\da-f]+(?::+|${end})){0,6}${end})`;
  return `${sixAtMost}(?:${group}(?::(?!:)|(?=::)))*::(?:${group}(?::(?!${end})|${end}))*${end}`;
}

const CANONICAL = new RegExp(`^${canonicalIpv6("$")}`);

const scratch = new Uint16Array(GROUPS);

/** True when `text` is an address in its canonical form: what its groups are written as. */
export function isCanonicalIpv6(text: string): boolean {
  if (CANONICAL.test(text)) return true;
  readGroups(text, scratch);
  return writeGroups(scratch) === text;
}

/** For canonical text; of any other, `into` gets groups that are written differently. */
export function readGroups(text: string, into: Uint16Array): void {
  let count = 0;
  let gap = -1;
  let value = 0;
  let digits = 0;
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? COLON : text.charCodeAt(at);
    if (code !== COLON) {
      value = value * 16 + digitOf(code);
      digits++;
    } else if (digits > 0) {
      into[count++] = value;
      value = 0;
      digits = 0;
    } else if (gap < 0) gap = count;
  }
  if (gap < 0) return;
  const tail = GROUPS - (count - gap);
  into.copyWithin(tail, gap, count);
  into.fill(0, gap, tail);
}

function digitOf(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  return code >= LOWER_A && code <= LOWER_F ? code - LOWER_A + 10 : -1;
}

export function writeGroups(groups: Uint16Array): string {
  let best = 0;
  let bestEnd = 0;
  let run = 0;
  for (let i = 0; i < GROUPS; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run <= best) continue;
    best = run;
    bestEnd = i + 1;
  }
  if (best < 2) return part(groups, 0, GROUPS);
  return `${part(groups, 0, bestEnd - best)}::${part(groups, bestEnd, GROUPS)}`;
}

function part(groups: Uint16Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) {
    text += `${i === from ? "" : ":"}${(groups[i] ?? 0).toString(16)}`;
  }
  return text;
}
