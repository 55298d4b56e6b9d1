// Which row of the counters each peer of the packet path has, which only the first `most` of may be
// carried in the kernel. A slot has one owner from the call that first counts there until it is
// freed: a peer that left may be counted for until no thread has its table any more, so its slot
// goes to nobody else before the packet path says that it is free. Pure.

export class PeerSlots {
  readonly #most: number;
  readonly #held = new Map<string, number>();
  /** Of peers that left, or moved. */
  #leaving = new Set<number>();
  /** Greatest first, so that the lowest is next and few rows are read. */
  readonly #free: number[] = [];
  #end = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** One more than the greatest slot that ever had a name. */
  get end(): number {
    return this.#end;
  }

  held(): ReadonlyMap<string, number> {
    return this.#held;
  }

  of(name: string): number {
    const slot = this.#held.get(name);
    if (slot === undefined) throw new RangeError(`the peer ${name} has no slot`);
    return slot;
  }

  /** What a predecessor gave; to be called first. */
  adopt(rows: Iterable<{ readonly name: string; readonly slot: number }>): void {
    for (const { name, slot } of rows) {
      this.#held.set(name, slot);
      this.#end = Math.max(this.#end, slot + 1);
    }
    const taken = new Set(this.#held.values());
    for (let slot = this.#end - 1; slot >= 0; slot -= 1) {
      if (!taken.has(slot)) this.#free.push(slot);
    }
  }

  /** Frees what peers left, but for those slots that `stillCounted` gives back. */
  free(stillCounted: (slots: readonly number[]) => Iterable<number>): void {
    if (this.#leaving.size === 0) return;
    const before = this.#leaving;
    this.#leaving = new Set(stillCounted([...before]));
    for (const slot of before) if (!this.#leaving.has(slot)) this.#free.push(slot);
    this.#free.sort((a, b) => b - a);
  }

  /** Gives each name a slot, and those without a path in the kernel one with; what is new of it. */
  assign(names: Iterable<string>): Map<string, number> {
    const given = new Map<string, number>();
    for (const name of names) {
      const known = this.#held.get(name);
      if (known !== undefined && (known < this.#most || !this.#hasLow())) continue;
      if (known !== undefined) this.#leaving.add(known);
      const slot = this.#free.pop() ?? this.#end;
      this.#end = Math.max(this.#end, slot + 1);
      this.#held.set(name, slot);
      given.set(name, slot);
    }
    return given;
  }

  #hasLow(): boolean {
    return (this.#free.at(-1) ?? this.#most) < this.#most;
  }

  /** The packet path goes by `names` now: the others have left. */
  retain(names: ReadonlySet<string>): void {
    for (const [name, slot] of this.#held) {
      if (names.has(name)) continue;
      this.#held.delete(name);
      this.#leaving.add(slot);
    }
  }
}
