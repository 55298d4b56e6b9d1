// Commands that read or write the log and touch nothing on this host.

import type { Option } from "commander";
import type { CommandSpec } from "./command.ts";
import {
  cidr,
  collecting,
  duration,
  expecting,
  flag,
  ip,
  jsonFlag,
  logFlags,
  mac,
  nodeFlag,
  nodeName,
  oneOf,
  point,
  wholeNumber,
} from "./flags.ts";

type Env = Readonly<Record<string, string | undefined>>;

const POINT = "<seq|time>";

export function commandsOfLog(env: Env): readonly CommandSpec[] {
  return [...writing(env), ...leasing(env), ...reading(env), ...comparing(env)];
}

function writing(env: Env): readonly CommandSpec[] {
  return [
    {
      name: "init",
      summary: "set the network configuration of a fabric; makes its log if absent",
      options: () => [
        ...logFlags(env),
        flag(env, "--config <file>", "flannel's net-conf.json, - for stdin").makeOptionMandatory(),
        flag(
          env,
          "--replicas <n>",
          "copies of the log in a cluster (default: 1)",
          wholeNumber(1, 5),
        ),
        jsonFlag(env),
      ],
      examples: [
        "init --config net-conf.json",
        "init --fabric prod --replicas 3 --config net.json",
      ],
      load: async () => (await import("./init.ts")).init,
    },
    {
      name: "peer add <name>",
      summary: "add a foreign VTEP and the subnet behind it",
      options: () => [
        ...logFlags(env),
        flag(env, "--subnet <cidr>", "what is behind it", cidr).makeOptionMandatory(),
        flag(env, "--public-ip <ip>", "where it takes packets", ip).makeOptionMandatory(),
        flag(env, "--vtep-mac <mac>", "MAC address of its VTEP", mac),
        jsonFlag(env),
      ],
      examples: [
        "peer add lb1 --subnet 10.9.0.0/24 --public-ip 198.18.0.9 --vtep-mac 02:00:00:00:00:09",
      ],
      load: async () => (await import("./peer.ts")).peerAdd,
    },
    {
      name: "peer remove <name>",
      summary: "remove a foreign VTEP",
      options: () => [...logFlags(env), jsonFlag(env)],
      examples: ["peer remove lb1"],
      load: async () => (await import("./peer.ts")).peerRemove,
    },
  ];
}

function leasing(env: Env): readonly CommandSpec[] {
  return [
    {
      name: "lease reserve <subnet>",
      summary: "keep a subnet of the pool for one node, or out of use",
      options: () => [
        ...logFlags(env),
        flag(env, "--for <node>", "who may claim it (default: nobody)", nodeName),
        flag(
          env,
          "--note <text>",
          "why",
          expecting((text) => text.slice(0, 1024), ""),
        ),
        jsonFlag(env),
      ],
      examples: [
        "lease reserve 10.5.7.0/24 --for h7",
        "lease reserve 10.5.9.0/24 --note 'old site'",
      ],
      load: async () => (await import("./lease.ts")).leaseReserve,
    },
    {
      name: "lease release",
      summary: "give back the lease of a node in its name; a running agent claims again",
      options: () => [...logFlags(env), nodeFlag(env), jsonFlag(env)],
      examples: ["lease release --node h7"],
      load: async () => (await import("./lease.ts")).leaseRelease,
    },
    {
      name: "lease revoke <subnet>",
      summary: "take a subnet from its holder, or end its reservation",
      options: () => [
        ...logFlags(env),
        flag(
          env,
          "--note <text>",
          "why",
          expecting((text) => text.slice(0, 1024), ""),
        ),
        jsonFlag(env),
      ],
      examples: ["lease revoke 10.5.7.0/24 --note 'moved to another site'"],
      load: async () => (await import("./lease.ts")).leaseRevoke,
    },
  ];
}

function reading(env: Env): readonly CommandSpec[] {
  const listOptions = () => [...logFlags(env), socketSource(), jsonFlag(env)];
  return [
    {
      name: "nodes",
      summary: "every host the fabric has seen",
      options: listOptions,
      examples: ["nodes", "nodes --json", "nodes --socket"],
      load: async () => (await import("./list.ts")).listNodes,
    },
    {
      name: "leases",
      summary: "who holds or may hold which subnet",
      options: listOptions,
      examples: ["leases", "leases --json"],
      load: async () => (await import("./list.ts")).listLeases,
    },
    {
      name: "peers",
      summary: "foreign VTEPs",
      options: listOptions,
      examples: ["peers", "peers --json"],
      load: async () => (await import("./list.ts")).listPeers,
    },
    {
      name: "events",
      summary: "the log, one event per line, with what became of it",
      options: () => [
        ...logFlags(env),
        flag(env, `--from ${POINT}`, "first event (default: 1)", point),
        flag(env, `--to ${POINT}`, "last event (default: the newest)", point),
        flag(
          env,
          "--type <type>",
          "only this type; repeatable",
          collecting((text) => text),
        ),
        flag(env, "--follow", "go on as events come"),
        jsonFlag(env),
      ],
      examples: [
        "events --from 1h",
        "events --type LeaseClaimed --type LeaseExpired",
        "events --follow --json",
      ],
      load: async () => (await import("./events.ts")).events,
    },
    {
      name: "state",
      summary: "what the log says the network is, now or at any point",
      options: () => [
        ...logFlags(env),
        flag(env, `--at ${POINT}`, "point in the log (default: its end)", point),
        nodeFlag(env, "with the entries that this host holds on demand"),
        jsonFlag(env),
      ],
      examples: ["state", "state --at 10m", "state --at 42 --json"],
      load: async () => (await import("./state.ts")).state,
    },
  ];
}

function comparing(env: Env): readonly CommandSpec[] {
  return [
    {
      name: "plan",
      summary: "the kernel state that a host should have, as commands",
      options: () => [
        ...logFlags(env),
        nodeFlag(env),
        flag(env, `--at ${POINT}`, "point in the log (default: its end)", point),
        flag(env, "--format <format>", "ip (default) or json", oneOf(["ip", "json"])),
      ],
      examples: ["plan --node h1", "plan --node h1 --at 2h --format json"],
      load: async () => (await import("./plan.ts")).plan,
    },
    {
      name: "diff",
      summary: "what changed between two points, in the fabric or in one host's kernel",
      options: () => [
        ...logFlags(env),
        flag(env, `--from ${POINT}`, "before", point).makeOptionMandatory(),
        flag(env, `--to ${POINT}`, "after (default: the end of the log)", point),
        nodeFlag(env, "only this host, as ip commands"),
        jsonFlag(env),
      ],
      examples: ["diff --from 10m", "diff --from 40 --to 42 --node h1"],
      load: async () => (await import("./diff.ts")).diff,
    },
    {
      name: "wait",
      summary: "until every live host has applied a sequence",
      options: () => [
        ...logFlags(env),
        flag(
          env,
          "--seq <seq>",
          "what they must have applied",
          wholeNumber(1, 1e15),
        ).makeOptionMandatory(),
        flag(env, "--nodes <n>", "at least so many live hosts (default: 1)", wholeNumber(0, 1e6)),
        timeoutFlag(env),
      ],
      examples: ["wait --seq 42", "wait --seq 42 --nodes 3 --timeout 30s"],
      load: async () => (await import("./wait.ts")).wait,
    },
  ];
}

function timeoutFlag(env: Env): Option {
  return flag(env, "--timeout <duration>", "give up after (default: 60s)", duration);
}

/**
 * With the flag the answer comes from the agent, without it from the log. HEDDLE_SOCKET says where
 * the socket is, not that it is to be asked.
 */
function socketSource(): Option {
  return flag({}, "--socket [path]", "ask the agent instead of the log");
}
