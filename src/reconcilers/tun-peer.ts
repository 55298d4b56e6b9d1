// Peers of the userspace tunnel. They live in the packet path of the agent and not in the kernel,
// yet are wanted, found and put right like everything else; they go with the device.

import type { TunPeer } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

export const peer: NounRules<TunPeer> = {
  same: (want, have) =>
    want.dev === have.dev &&
    want.ip === have.ip &&
    want.port === have.port &&
    want.subnets.join() === have.subnets.join() &&
    want.capabilities.join() === have.capabilities.join(),
  owned: (object, by) => by.devices.has(object.dev),
  // No command reaches into the packet path: a comment runs everywhere and says it.
  command: (verb, object) => `# peer ${verb} ${textOf(object)}`,
  text: textOf,
};

function textOf({ dev, name, subnets, ip, port, capabilities }: TunPeer): string {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const can = capabilities.length === 0 ? "" : ` can ${capabilities.join(" ")}`;
  return `${name} ${subnets.join(" ")} at ${host}:${port} dev ${dev}${can}`;
}
