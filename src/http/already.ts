// Whether a command asks for what is so already: then nothing is written, and asking again is
// harmless. Pure.

import { isDeepStrictEqual } from "node:util";
import type { Command } from "../events/decide.ts";
import { decide } from "../events/decide.ts";
import type { FabricState } from "../events/state.ts";

export function alreadySo(state: Readonly<FabricState>, command: Command): boolean {
  switch (command.type) {
    case "AddPeer": {
      const { name, subnet, publicIp, vtepMac } = command;
      return isDeepStrictEqual(state.peers.get(name), { name, subnet, publicIp, vtepMac });
    }
    case "Reserve": {
      const { subnet, node, note } = command;
      return isDeepStrictEqual(state.reservations.get(subnet), { subnet, node, note });
    }
    case "AddWebhook": {
      const { name, url, types, nodes } = command;
      const found = state.webhooks.get(name);
      const wanted = { name, url, types, nodes, addedSeq: found?.addedSeq };
      return isDeepStrictEqual(found, wanted);
    }
    case "Configure": {
      // Compared as it would be written: completed with the defaults.
      const decision = decide(state, command);
      const [wanted] = decision.ok ? decision.events : [];
      return (
        wanted?.type === "FabricConfigured" &&
        isDeepStrictEqual(wanted.data.config, state.configDocument)
      );
    }
    default:
      return false;
  }
}
