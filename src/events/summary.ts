// An event in a few words, for the timeline. Pure; the full content is in --json.

import type { Draft, EventOf, Member } from "./event.ts";

export function summaryOf(event: Draft): string {
  switch (event.type) {
    case "FabricConfigured":
      return configSummary(event.data.config);
    case "PeerAdded": {
      const { name, subnet, publicIp, vtepMac } = event.data;
      return words(`${name} ${subnet} at ${publicIp}`, vtepMac);
    }
    case "PeerRemoved":
    case "TokenRevoked":
    case "WebhookRemoved":
      return event.data.name;
    case "LeaseReserved":
      return words(
        `${event.data.subnet} for ${event.data.node ?? "nobody"}`,
        quoted(event.data.note),
      );
    case "LeaseRevoked":
      return words(event.data.subnet, quoted(event.data.note));
    case "TokenCreated":
      return `${event.data.name} ${event.data.scopes.join(",")}`;
    case "WebhookAdded": {
      const { name, url, types, nodes } = event.data;
      return words(`${name} to ${url}`, types.join(","), nodes.join(","));
    }
    case "NodeJoined":
    case "NodeUpdated":
      return memberSummary(event.data);
    case "NodeLeft":
      return event.data.reason;
    case "LeaseClaimed":
    case "LeaseRenewed": {
      const { subnets, epoch, ttlSeconds } = event.data;
      return `${subnets.join(" ")} epoch ${epoch} for ${ttlSeconds} s`;
    }
    case "LeaseReleased":
      return `${event.data.subnets.join(" ")} epoch ${event.data.epoch}`;
    case "LeaseExpired":
      return `${event.data.subnets.join(" ")} epoch ${event.data.epoch} of ${event.data.owner}`;
    case "NeighborMissed":
      return missSummary(event.data);
    case "NeighborAged": {
      const { subnets } = event.data;
      return words(subnets.slice(0, 3).join(" "), more(subnets.length - 3));
    }
    case "DriftHealed": {
      const [first] = event.data.items;
      const example = first === undefined ? "" : `${first.problem} ${first.noun}`;
      return words(`${event.data.count} put right`, example, first?.found ?? first?.wanted ?? null);
    }
    case "HostDegraded":
      return event.data.problems.join("; ");
    case "HostRecovered":
      return "";
    case "HostFrozen":
      return event.data.reason;
  }
}

function missSummary(data: EventOf<"NeighborMissed">["data"]): string {
  const { answered, unknown, suppressed } = data;
  const first = answered.slice(0, 2).map(({ subnet, peer, waitedUs }) => {
    const waited = waitedUs === null ? "" : ` in ${waitedUs} µs`;
    return `${subnet} of ${peer}${waited}`;
  });
  const strange = unknown.length + suppressed;
  return words(
    first.join(", "),
    more(answered.length - 2),
    strange === 0 ? null : `${unknown[0]?.address ?? strange} of nobody`,
    strange === 0 || unknown.length === 0 ? null : more(strange - 1),
  );
}

function more(count: number): string | null {
  return count > 0 ? `and ${count} more` : null;
}

function memberSummary(member: Member): string {
  const { publicIp, publicIpv6, backend, underlay } = member;
  const at = [publicIp, publicIpv6].filter((ip) => ip !== null).join(",");
  return words(`${backend} at ${at}`, `${underlay.dev} mtu ${underlay.mtu}`);
}

function configSummary(config: Readonly<Record<string, unknown>>): string {
  const pools = (["", "IPv6"] as const).map((family) => {
    const network = config[`${family}Network`];
    return network === undefined ? null : `${network} by /${config[`${family}SubnetLen`]}`;
  });
  return words(...pools, backendSummary(config.Backend));
}

/** An old log may hold a document of any shape. */
function backendSummary(backend: unknown): string {
  const { Type, Mode, Group } = (backend ?? {}) as Readonly<Record<string, unknown>>;
  const mode = Mode === "proactive" ? undefined : Mode;
  return [Type, mode, Group].filter((word) => typeof word === "string").join(" ");
}

function quoted(text: string): string | null {
  return text === "" ? null : JSON.stringify(text);
}

function words(...parts: readonly (string | null)[]): string {
  return parts.filter((part) => part !== null && part !== "").join(" ");
}
