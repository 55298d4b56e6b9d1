// Addresses on our devices. All are ours except those that the kernel makes by itself: an IPv6
// device that comes up gets a link-local address, and removing it would only make it come back.

import type { Addr } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

/** fe80::/10 or multicast. */
const KERNEL_MADE = /^(?:fe[89ab]|ff)[0-9a-f]*:/;

export const addr: NounRules<Addr> = {
  // The key is the whole object.
  same: () => true,
  owned: (object, by) => by.devices.has(object.dev) && !KERNEL_MADE.test(object.address),
  command: (verb, { dev, address }) =>
    verb === "set" ? `ip addr replace ${address} dev ${dev}` : `ip addr del ${address} dev ${dev}`,
  text: ({ dev, address }) => `${address} dev ${dev}`,
};
