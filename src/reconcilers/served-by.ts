// Which peer a kernel object is there for. Asked by id ("route 10.5.3.0/24 0", idOf in backoff.ts),
// kept by noun and the object's own key: 10 000 peers would have 30 000 ids, 3 MiB of text. Asked
// only when something failed: what peers' parts say is not looked at before.

import type { Noun } from "./kernel-state.ts";
import type { PeerPart } from "./peer-rows.ts";

export class ServedBy {
  readonly #byNoun = new Map<string, Map<string, string>>();
  #unread: readonly PeerPart[];

  constructor(parts: readonly PeerPart[] = []) {
    this.#unread = parts;
  }

  set(noun: Noun, key: string, peer: string): void {
    const known = this.#byNoun.get(noun);
    if (known === undefined) this.#byNoun.set(noun, new Map([[key, peer]]));
    else known.set(key, peer);
  }

  get(id: string): string | undefined {
    this.#read();
    const space = id.indexOf(" ");
    return this.#byNoun.get(id.slice(0, space))?.get(id.slice(space + 1));
  }

  get size(): number {
    this.#read();
    let size = 0;
    for (const known of this.#byNoun.values()) size += known.size;
    return size;
  }

  #read(): void {
    for (const { plan, objects } of this.#unread) {
      for (const { noun, key } of objects) this.set(noun, key, plan.node);
    }
    this.#unread = [];
  }
}
