// What others own in a host's kernel: put there and taken away by the simulation alone, so that any
// other change to it is the agent's doing.

import { keyOf, type Noun } from "../../src/reconcilers/kernel-state.ts";
import type { NounTypes } from "../../src/reconcilers/op.ts";
import { tableOf } from "../support/apply-ops.ts";
import { hostLink, type KernelModel } from "../support/kernel-model.ts";

export interface Underlay {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly mtu: number;
}

export class Foreign {
  readonly #model: KernelModel;
  readonly #objects = new Map<string, { noun: Noun; key: string; object: unknown }>();

  constructor(model: KernelModel) {
    this.#model = model;
  }

  put<N extends Noun>(noun: N, object: NounTypes[N]): void {
    this.#model.put(noun, object);
    const key = (keyOf[noun] as (object: NounTypes[N]) => string)(object);
    const object1 = tableOf(this.#model.state, noun).get(key);
    this.#objects.set(`${noun} ${key}`, { noun, key, object: object1 });
    this.resync();
  }

  remove(noun: Noun, key: string): void {
    this.#objects.delete(`${noun} ${key}`);
    this.#model.remove(noun, key);
    this.resync();
  }

  has(noun: Noun, key: string): boolean {
    return this.#objects.has(`${noun} ${key}`);
  }

  /** Keys of a noun, in the order they came. */
  keys(noun: Noun): string[] {
    return [...this.#objects.values()].filter((each) => each.noun === noun).map(({ key }) => key);
  }

  /** What is no longer as it was put, in words, or null. */
  damage(): string | null {
    for (const [name, { noun, key, object }] of this.#objects) {
      const now = tableOf(this.#model.state, noun).get(key);
      if (now === object) continue;
      return `${name} is now ${now === undefined ? "gone" : JSON.stringify(now)}`;
    }
    return null;
  }

  /** After a change by the simulation itself, which may have taken other things along. */
  resync(): void {
    for (const [name, { noun, key }] of this.#objects) {
      const now = tableOf(this.#model.state, noun).get(key);
      if (now === undefined) this.#objects.delete(name);
      else this.#objects.set(name, { noun, key, object: now });
    }
  }
}

/** The device, addresses and default routes that carry the tunnel. */
export function putUnderlay(foreign: Foreign, underlay: Underlay): void {
  foreign.put("link", hostLink("eth0", { mtu: underlay.mtu }));
  foreign.put("addr", { dev: "eth0", address: `${underlay.ipv4}/24` });
  foreign.put("addr", { dev: "eth0", address: `${underlay.ipv6}/64` });
  const rest = { dev: "eth0", onlink: false, protocol: 3, extra: null };
  const via4 = `${underlay.ipv4.slice(0, underlay.ipv4.lastIndexOf("."))}.254`;
  foreign.put("route", { dst: "0.0.0.0/0", via: via4, metric: 0, ...rest });
  foreign.put("route", { dst: "::/0", via: "2001:db8::fffe", metric: 1024, ...rest });
}
