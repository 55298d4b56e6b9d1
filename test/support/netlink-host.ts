// A host on the real kernel for one test after the other: eth0 with an address of each family, and
// our adapter in the same namespace.

import { afterEach, beforeEach, expect } from "bun:test";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { joinByVeth, makeNetns, type Netns } from "./netns.ts";

export interface NetlinkHost {
  readonly netns: Netns;
  readonly kernel: NetlinkKernel;
  /** Applies ops, each of which has to succeed. */
  apply(...ops: Op[]): Promise<void>;
}

/** To be called where tests are declared; what it returns is fresh in every test. */
export function netlinkHost(): NetlinkHost {
  let netns: Netns;
  let kernel: NetlinkKernel;
  beforeEach(() => {
    netns = makeNetns();
    const addresses = ["198.18.0.1/24", "2001:db8::1/64"];
    joinByVeth({ netns, dev: "eth0", addresses }, { netns, dev: "far0", addresses: [] });
    kernel = new NetlinkKernel({ netns: netns.path });
  });
  afterEach(() => {
    kernel.close();
    netns[Symbol.dispose]();
  });
  return {
    get netns() {
      return netns;
    },
    get kernel() {
      return kernel;
    },
    async apply(...ops) {
      for (const outcome of await kernel.apply(ops)) expect(outcome).toEqual({ ok: true });
    },
  };
}
