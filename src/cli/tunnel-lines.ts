// The userspace tunnel in `heddle status`: what it uses of the kernel, what it lacks and why, and
// what it dropped. Counters at zero say nothing and are left out.

import type { TunnelStatus } from "../reconcilers/tunnel-status.ts";

export function tunnelLines(tunnel: TunnelStatus): readonly string[] {
  const { listen, port, features, counters } = tunnel;
  const on = features.filter((feature) => feature.on).map(({ name }) => name);
  const off = features
    .filter((feature) => !feature.on && feature.reason !== "not wanted")
    .map(({ name, reason }) => `${name} (${reason})`);
  const dropped = Object.entries(counters)
    .filter(([name, count]) => name.includes("drop") && count > 0)
    .map(([name, count]) => `${name} ${count}`);
  return [
    ["tunnel", `udp port ${port} on ${listen.join(" ")}`],
    ["uses", on.join(" ")],
    ["lacks", off.join(", ") || "nothing"],
    ["dropped", dropped.join(", ") || "nothing"],
  ].map(([name = "", value = ""]) => `${name.padEnd(11)} ${value}`);
}
