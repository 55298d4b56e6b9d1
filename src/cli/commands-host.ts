// Commands about this host: its agent, its kernel, its shell.

import type { CommandSpec } from "./command.ts";
import {
  atFlag,
  duration,
  fabricFlag,
  flag,
  httpFlags,
  ip,
  ipv4,
  ipv6,
  listen,
  logFlags,
  loggingFlags,
  nodeFlag,
  oneOf,
  onLog,
  socketFlag,
  subnetFileFlag,
  wholeNumber,
} from "./flags.ts";

const backend = oneOf(["vxlan", "host-gw", "udp", "alloc"]);

const agent: CommandSpec = {
  name: "agent",
  summary: "the worker of this host: claims a subnet and keeps the kernel as the log says",
  options: (env) => [
    ...logFlags(env),
    nodeFlag(env),
    flag(env, "--iface <name|ip|/regex/>", "underlay device (default: of the default route)"),
    flag(env, "--can-reach <ip>", "underlay device: the one that reaches this address", ip),
    flag(env, "--public-ip <ip>", "IPv4 address that peers send to", ipv4),
    flag(env, "--public-ipv6 <ip>", "IPv6 address that peers send to", ipv6),
    flag(env, "--state-dir <dir>", "snapshot (default: /var/lib/heddle/<fabric>)"),
    socketFlag(env),
    ...httpFlags(env, "nowhere"),
    subnetFileFlag(env),
    flag(env, "--ip-masq", "masquerade what leaves the fabric"),
    flag(env, "--lease-ttl <seconds>", "default: 86400", wholeNumber(2, 315_360_000)),
    flag(
      env,
      "--lease-renew-margin <seconds>",
      "renew so long before the end (default: 3600, less for a shorter lease)",
      wholeNumber(1, 315_360_000),
    ),
    flag(env, "--embedded-nats [host:port]", "hold the log here (default: 127.0.0.1:4222)", listen),
    flag(env, "--takeover", "replace the agent that runs here, without losing a packet").conflicts(
      "embeddedNats",
    ),
    ...loggingFlags(env),
  ],
  examples: [
    "agent",
    "agent --nats nats://10.0.0.1:4222 --iface eth1",
    "agent --embedded-nats 0.0.0.0:4222 --ip-masq",
  ],
  load: async () => (await import("./agent.ts")).agent,
};

const asking: readonly CommandSpec[] = [
  {
    name: "status",
    summary: "the agent of this host: health first, then itself, then its peers",
    options: (env) => [
      fabricFlag(env),
      socketFlag(env),
      flag(env, "--wait [duration]", "until ready (default: 60s)", duration),
      flag(env, "--json", "print JSON").conflicts("brief"),
      flag(env, "--brief", "one line"),
      flag(env, "--watch", "again at every change, until Ctrl-C").conflicts("wait"),
    ],
    examples: ["status", "status --wait=30s", "status --watch", "status --brief", "status --json"],
    load: async () => (await import("./status.ts")).status,
  },
  {
    name: "doctor",
    summary: "named checks of this host, its agent and its log, each with what to do",
    options: onLog((env) => [nodeFlag(env), socketFlag(env), subnetFileFlag(env)]),
    examples: ["doctor", "doctor --json"],
    load: async () => (await import("./doctor.ts")).doctor,
  },
  {
    name: "resume",
    summary: "let a frozen agent take the log as it is now for the truth",
    options: (env) => [fabricFlag(env), socketFlag(env)],
    examples: ["resume"],
    load: async () => (await import("./resume.ts")).resume,
  },
];

const doing: readonly CommandSpec[] = [
  {
    name: "replay",
    summary: "rebuild a host's kernel state from the log into an empty network namespace",
    options: (env) => [
      ...logFlags(env),
      nodeFlag(env),
      atFlag(env),
      flag(env, "--netns <name>", "namespace as `ip netns` names it").makeOptionMandatory(),
    ],
    examples: ["replay --node h1 --at 10m --netns museum"],
    load: async () => (await import("./replay.ts")).replay,
  },
  {
    name: "down",
    summary: "leave the fabric and remove exactly what is ours from this host",
    options: (env) => [
      ...logFlags(env),
      nodeFlag(env),
      socketFlag(env),
      flag(env, "--state-dir <dir>", "default: /var/lib/heddle/<fabric>"),
      subnetFileFlag(env),
      flag(env, "--purge", "remove the state directory too, with the log if it is embedded here"),
    ],
    examples: ["down", "down --purge"],
    load: async () => (await import("./down.ts")).down,
  },
  {
    name: "dev",
    summary: "a whole fabric in network namespaces on this machine, until Ctrl-C",
    options: (env) => [
      flag(env, "--hosts <n>", "how many (default: 3)", wholeNumber(1, 50)),
      flag(env, "--backend <type>", "vxlan (default), host-gw, udp or alloc", backend),
      flag(env, "--config <file>", "flannel's net-conf.json").conflicts("backend"),
    ],
    examples: ["dev", "dev --hosts 5 --backend host-gw", "dev --config net-conf.json"],
    load: async () => (await import("./dev.ts")).dev,
  },
];

export const hostCommands: readonly CommandSpec[] = [agent, ...asking, ...doing];
