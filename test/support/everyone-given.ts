// What the test files about entries on demand begin with: a host that runs, in a fabric of so many
// peers, gone after the test.

import { afterEach } from "bun:test";
import { Everyone, type EveryoneOptions } from "./everyone.ts";

export interface GivenOptions extends EveryoneOptions {
  /** Between the peers' joining and the start of the host. */
  readonly before?: (it: Everyone) => Promise<void>;
}

export type Given = (peers: number, options: GivenOptions) => Promise<Everyone>;

export function everyoneGiven(): Given {
  let open: Everyone | null = null;
  afterEach(async () => {
    await open?.close();
    open = null;
  });
  return async (peers, { before, ...options }) => {
    const it = new Everyone(options);
    open = it;
    await it.populate(peers);
    await before?.(it);
    await it.start();
    it.attach();
    return it;
  };
}
