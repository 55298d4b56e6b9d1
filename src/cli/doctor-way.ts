// Whether the way to other hosts carries what the fabric sends. Nothing is probed in band, so
// only a person who asks learns that a switch or a silent router swallows large packets: small
// ones pass and transfers stand still, without a word of ICMP. Echoes may be cut on the way, as
// the fabric's own packets may.

import type { AgentStatus, PeerStatus } from "../agent/status.ts";
import { type Check, fail, ok, outputOf } from "./doctor-check.ts";

/** Outer headers of a packet; an echo has the same IP header and 8 bytes of ICMP. */
const OUTER = { udp: 8, vxlan: 30 } as const;
const ICMP_HEADER = 8;
const SMALL_BYTES = 56;
/** Of many peers some say enough: their ways begin alike. */
const PEERS_MAX = 8;

/** Whether a peer answers echoes of so many bytes. */
export type Echo = (ip: string, bytes: number) => Promise<boolean>;

interface Known {
  readonly status: Pick<AgentStatus, "backend" | "peers"> | null;
}

export async function wayCheck({ status }: Known, echo: Echo = ping): Promise<Check> {
  const name = "way-mtu";
  const { backend, peers } = status ?? { backend: null, peers: [] };
  const type = backend?.type;
  if (backend === null) return ok(name, "not measured: no agent");
  if (type !== "udp" && type !== "vxlan") return ok(name, `not needed by ${type}`);
  const bytes = backend.mtu + OUTER[type] - ICMP_HEADER;
  const asked = peers.filter(({ path }) => path === type).slice(0, PEERS_MAX);
  const ways = await Promise.all(asked.map((peer) => wayTo(peer, bytes, echo)));
  const swallowed = asked.filter((_peer, i) => ways[i] === "swallows");
  const whole = ways.filter((way) => way === "carries").length;
  if (swallowed.length === 0) {
    const silent = ways.length - whole;
    return ok(name, `${whole} of ${ways.length} peers answer large packets, ${silent} none at all`);
  }
  const whom = swallowed.map(({ node, publicIp }) => `${node} (${publicIp})`).join(", ");
  return fail(
    name,
    `packets of the underlay's size vanish, small ones pass: ${whom}`,
    "set Backend.MTU to what the way carries (ping -M do -s SIZE finds it; SIZE is 28 less)",
  );
}

async function wayTo({ publicIp }: PeerStatus, bytes: number, echo: Echo) {
  if (publicIp === null) return "silent";
  if (await echo(publicIp, bytes)) return "carries";
  return (await echo(publicIp, SMALL_BYTES)) ? "swallows" : "silent";
}

async function ping(ip: string, bytes: number): Promise<boolean> {
  const how = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-M", "dont"];
  return (await outputOf(["ping", ...how, "-s", String(bytes), ip])) !== null;
}
