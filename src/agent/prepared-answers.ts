// What was prepared for whoever answers the kernel by itself, so that each change in the log costs
// only the rows that it changes.

import { type Cidr, type Ip, type Mac, networkAddress } from "../events/address.ts";
import type { FabricState } from "../events/state.ts";
import { eachAnswer } from "../reconcilers/desired-vxlan-miss.ts";
import type { Prepared } from "../reconcilers/miss.ts";

interface Told {
  readonly mac: Mac;
  readonly dst: Ip;
  /** Number of the pass that saw it last. */
  pass: number;
}

export class PreparedAnswers {
  readonly #told = new Map<Cidr, Told>();
  #pass = 0;

  /** What is different in `state` from the one before. */
  changes(state: Readonly<FabricState>, node: string): Prepared[] {
    const changes: Prepared[] = [];
    const pass = ++this.#pass;
    let seen = 0;
    eachAnswer(state, node, (subnet, mac, dst) => {
      seen++;
      const told = this.#told.get(subnet);
      if (told?.mac === mac && told.dst === dst) {
        told.pass = pass;
        return;
      }
      this.#told.set(subnet, { mac, dst, pass });
      changes.push({ ip: networkAddress(subnet), to: { mac, dst } });
    });
    if (seen === this.#told.size) return changes;
    const gone: Prepared[] = [];
    for (const [subnet, told] of this.#told) {
      if (told.pass === pass) continue;
      this.#told.delete(subnet);
      gone.push({ ip: networkAddress(subnet), to: null });
    }
    // First what goes: the same gateway may be another subnet's now.
    return [...gone, ...changes];
  }
}
