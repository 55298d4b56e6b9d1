// host-gw: no device, a route through each peer's underlay address. That works on one link only; a
// peer elsewhere is reported and gets nothing, because the kernel would refuse the gateway.

import {
  addRoute,
  type BackendPlan,
  type Draft,
  familyName,
  type Host,
  planPeers,
  routeTo,
} from "./draft.ts";
import { onlinkTest } from "./onlink.ts";

export function planHostGw(draft: Draft, host: Host): BackendPlan {
  const { underlay, publicIp, publicIpv6 } = host.self;
  const { dev, mtu } = underlay;
  const isOnlink = onlinkTest(underlay.onlink);
  for (const { family } of host.scopes) {
    const own = family === "ipv4" ? publicIp : publicIpv6;
    const local = family === "ipv4" ? underlay.local : underlay.localv6;
    if (own !== local) {
      draft.problems.push(
        `host-gw needs the public ${familyName[family]} address to be the one of ${dev}: ` +
          `${own ?? "none"} is not ${local ?? "known"}`,
      );
    }
  }
  planPeers(draft, host, (peer, subnet, _family, gateway) => {
    if (!isOnlink(gateway)) {
      return { error: `not on the same link: ${gateway} is behind a gateway as seen from ${dev}` };
    }
    addRoute(draft, routeTo(subnet, gateway, dev, false), peer.name);
    return { path: "host-gw" };
  });
  return { mtu, device: { name: dev, mtu } };
}
