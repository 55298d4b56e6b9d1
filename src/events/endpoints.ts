// Who answers at which underlay address or VTEP MAC: a table of text to text like a Map, but one
// that has not room for four times as many whenever it grows: 10 000 nodes with four endpoints each
// take 1.4 MiB here, 3.2 in a Map.
//
// Theory of operation: `keys` and `holders` are without gaps; `slots` tells a key's place in them
// by its hash, with linear probing. Each slot has the whole hash, so that neither another key nor a
// larger table makes it read a text again: 17 ms for 40 000. What is taken out leaves a slot that
// probing goes past, and the last entry moves into its place.

export interface Endpoints {
  readonly keys: string[];
  readonly holders: string[];
  /** A power of two of pairs: a place plus one, FREE or GONE; and the hash of its key. */
  slots: Int32Array;
  /** Slots that are not free, at most three in four. */
  used: number;
}

const FREE = 0;
const GONE = -1;
const SLOTS_MIN = 16;

export function noEndpoints(): Endpoints {
  return { keys: [], holders: [], slots: new Int32Array(2 * SLOTS_MIN), used: 0 };
}

export function holderAt(endpoints: Readonly<Endpoints>, endpoint: string): string | undefined {
  const { slots, holders } = endpoints;
  const place = slots[slotOf(endpoints, endpoint, hash(endpoint))] ?? FREE;
  return place === FREE ? undefined : holders[place - 1];
}

/** From now on `holder` answers at `endpoint`, whoever did before. */
export function settle(endpoints: Endpoints, endpoint: string, holder: string): void {
  if (8 * (endpoints.used + 1) > 3 * endpoints.slots.length) rebuild(endpoints);
  const { keys, holders, slots } = endpoints;
  const sum = hash(endpoint);
  const slot = slotOf(endpoints, endpoint, sum);
  const place = slots[slot] ?? FREE;
  if (place !== FREE) {
    holders[place - 1] = holder;
    return;
  }
  keys.push(endpoint);
  holders.push(holder);
  slots[slot] = keys.length;
  slots[slot + 1] = sum;
  endpoints.used++;
}

export function vacate(endpoints: Endpoints, endpoint: string): void {
  const { keys, holders, slots } = endpoints;
  const slot = slotOf(endpoints, endpoint, hash(endpoint));
  const place = slots[slot] ?? FREE;
  if (place === FREE) return;
  const [key = "", holder = ""] = [keys.at(-1), holders.at(-1)];
  slots[slotOf(endpoints, key, hash(key))] = place;
  slots[slot] = GONE;
  keys[place - 1] = key;
  holders[place - 1] = holder;
  keys.pop();
  holders.pop();
}

export function* eachEndpoint({
  keys,
  holders,
}: Readonly<Endpoints>): Generator<readonly [endpoint: string, holder: string]> {
  for (const [at, key] of keys.entries()) yield [key, holders[at] ?? ""];
}

/** Index of the slot of `endpoint`, whose hash is `sum`, or of the free one where it belongs. */
function slotOf({ keys, slots }: Readonly<Endpoints>, endpoint: string, sum: number): number {
  const mask = slots.length - 1;
  for (let at = (2 * sum) & mask; ; at = (at + 2) & mask) {
    const place = slots[at] ?? FREE;
    if (place === FREE) return at;
    if (slots[at + 1] === sum && place !== GONE && keys[place - 1] === endpoint) return at;
  }
}

/** With room for as many again, and without what was taken out. */
function rebuild(endpoints: Endpoints): void {
  const { keys, slots } = endpoints;
  let length = SLOTS_MIN;
  while (length < 2 * (keys.length + 1)) length *= 2;
  const larger = new Int32Array(2 * length);
  const mask = larger.length - 1;
  for (let from = 0; from < slots.length; from += 2) {
    const place = slots[from] ?? FREE;
    if (place === FREE || place === GONE) continue;
    const sum = slots[from + 1] ?? 0;
    let at = (2 * sum) & mask;
    while (larger[at] !== FREE) at = (at + 2) & mask;
    larger[at] = place;
    larger[at + 1] = sum;
  }
  endpoints.slots = larger;
  endpoints.used = keys.length;
}

/** Two characters at a time; a multiplication alone would bring nothing down to the low bits. */
function hash(text: string): number {
  const last = text.length - 1;
  let sum = last;
  let at = 0;
  for (; at < last; at += 2) sum = mix(sum ^ text.charCodeAt(at) ^ (text.charCodeAt(at + 1) << 16));
  return at > last ? sum : mix(sum ^ text.charCodeAt(at));
}

/** A step of MurmurHash3's finalizer. */
function mix(sum: number): number {
  const product = Math.imul(sum, 0x85ebca6b);
  return product ^ (product >>> 15);
}
