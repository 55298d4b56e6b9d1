// Which peer a kernel object is there for. Asked by id ("route 10.5.3.0/24 0", idOf in backoff.ts),
// kept by noun and the object's own key: 10 000 peers would have 30 000 ids, 3 MiB of text.

import type { Noun } from "./kernel-state.ts";

export class ServedBy {
  readonly #byNoun = new Map<string, Map<string, string>>();

  set(noun: Noun, key: string, peer: string): void {
    const known = this.#byNoun.get(noun);
    if (known === undefined) this.#byNoun.set(noun, new Map([[key, peer]]));
    else known.set(key, peer);
  }

  get(id: string): string | undefined {
    const space = id.indexOf(" ");
    return this.#byNoun.get(id.slice(0, space))?.get(id.slice(space + 1));
  }

  get size(): number {
    let size = 0;
    for (const known of this.#byNoun.values()) size += known.size;
    return size;
  }
}
