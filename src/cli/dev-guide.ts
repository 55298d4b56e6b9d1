// What `heddle dev` tells when its fabric stands: who is where, and commands to copy.

import type { Container, DevFabric } from "./dev-fabric.ts";
import { inside } from "./dev-netns.ts";
import { cell, tableLines } from "./table.ts";

export interface Scene {
  readonly fabric: DevFabric;
  readonly dir: string;
  readonly backend: string;
  /** In the order of the hosts. */
  readonly containers: readonly Container[];
  /** How this program is started. */
  readonly program: string;
}

export function guide(scene: Scene): readonly string[] {
  const { fabric, backend, dir } = scene;
  const { version } = fabric.server;
  return [
    `${fabric.hosts.length} hosts joined by ${backend}; nats-server ${version} at ${fabric.nats}`,
    `state, sockets and logs of the agents are in ${dir}`,
    "",
    ...table(scene),
    ...suggestions(scene).flatMap(([what, ...commands]) => [
      "",
      `${what}:`,
      ...commands.map((command) => `  ${command}`),
    ]),
    "",
    "Ctrl-C removes everything.",
  ];
}

function table({ fabric, containers }: Scene): readonly string[] {
  const header = ["HOST", "ADDRESS", "NAMESPACE", "CONTAINER", "ADDRESSES"];
  const rows = fabric.hosts.map((host, i) => {
    const { ipv4 = null, ipv6 = null } = containers[i] ?? {};
    const addresses = [ipv4, ipv6].filter((ip) => ip !== null).join(" ");
    return [host.name, host.ip, host.netns, host.container, cell(addresses)];
  });
  return tableLines(header, rows);
}

type Suggestion = readonly [what: string, ...commands: string[]];

function suggestions({ fabric, backend, containers, program }: Scene): readonly Suggestion[] {
  const [first, second] = fabric.hosts;
  const there = containers[1]?.ipv4 ?? containers[1]?.ipv6 ?? null;
  if (first === undefined) return [];
  const host = (words: string): string => inside(first.netns, [words]).join(" ");
  const log = (words: string): string =>
    inside(fabric.switch, [program, words, "--nats", fabric.nats]).join(" ");
  const found: Suggestion[] = [];
  if (second !== undefined && there !== null && backend !== "alloc") {
    const ping = inside(first.container, ["ping", there]).join(" ");
    found.push(["Ping a container behind another host", ping]);
    const ip = there.includes(":") ? "ip -6" : "ip";
    const commands = [`${ip} route show proto 104`, `${ip} route flush proto 104`];
    found.push(["Break something; it is put right and told in the log", ...commands.map(host)]);
  }
  found.push(["Ask an agent", `${program} status --socket ${first.socket}`]);
  found.push(["Ask the log", log("events --follow"), log("leases"), log("plan --node h1")]);
  return found;
}
