// Commands that read or write the log and touch nothing on this host.

import type { Option } from "commander";
import type { CommandSpec } from "./command.ts";
import {
  atFlag,
  cidr,
  collecting,
  duration,
  type Env,
  expecting,
  flag,
  ip,
  logFlags,
  mac,
  nodeFlag,
  nodeName,
  oneOf,
  onLog,
  point,
  wholeNumber,
} from "./flags.ts";

const note = expecting((text) => text.slice(0, 1024), "");
const noteFlag = (env: Env) => flag(env, "--note <text>", "why", note);

/**
 * With the flag the answer comes from the agent, without it from the log. HEDDLE_SOCKET says where
 * the socket is, not that it is to be asked.
 */
function socketSource(): Option {
  return flag({}, "--socket [path]", "ask the agent instead of the log");
}

const writing: readonly CommandSpec[] = [
  {
    name: "init",
    summary: "set the network configuration of a fabric; makes its log if absent",
    options: onLog((env) => [
      flag(env, "--config <file>", "flannel's net-conf.json, - for stdin").makeOptionMandatory(),
      flag(env, "--replicas <n>", "copies of the log in a cluster (default: 1)", wholeNumber(1, 5)),
    ]),
    examples: ["init --config net-conf.json", "init --fabric prod --replicas 3 --config net.json"],
    load: async () => (await import("./init.ts")).init,
  },
  {
    name: "peer add <name>",
    summary: "add a foreign VTEP and the subnet behind it",
    options: onLog((env) => [
      flag(env, "--subnet <cidr>", "what is behind it", cidr).makeOptionMandatory(),
      flag(env, "--public-ip <ip>", "where it takes packets", ip).makeOptionMandatory(),
      flag(env, "--vtep-mac <mac>", "MAC address of its VTEP", mac),
    ]),
    examples: [
      "peer add lb1 --subnet 10.9.0.0/24 --public-ip 198.18.0.9 --vtep-mac 02:00:00:00:00:09",
    ],
    load: async () => (await import("./peer.ts")).peerAdd,
  },
  {
    name: "peer remove <name>",
    summary: "remove a foreign VTEP",
    options: onLog(),
    examples: ["peer remove lb1"],
    load: async () => (await import("./peer.ts")).peerRemove,
  },
  {
    name: "lease reserve <subnet>",
    summary: "keep a subnet of the pool for one node, or out of use",
    options: onLog((env) => [
      flag(env, "--for <node>", "who may claim it (default: nobody)", nodeName),
      noteFlag(env),
    ]),
    examples: ["lease reserve 10.5.7.0/24 --for h7", "lease reserve 10.5.9.0/24 --note 'old site'"],
    load: async () => (await import("./lease.ts")).leaseReserve,
  },
  {
    name: "lease release",
    summary: "give back the lease of a node in its name; a running agent claims again",
    options: onLog((env) => [nodeFlag(env)]),
    examples: ["lease release --node h7"],
    load: async () => (await import("./lease.ts")).leaseRelease,
  },
  {
    name: "lease revoke <subnet>",
    summary: "take a subnet from its holder, or end its reservation",
    options: onLog((env) => [noteFlag(env)]),
    examples: ["lease revoke 10.5.7.0/24 --note 'moved to another site'"],
    load: async () => (await import("./lease.ts")).leaseRevoke,
  },
];

const reading: readonly CommandSpec[] = [
  {
    name: "nodes",
    summary: "every host the fabric has seen",
    options: onLog(() => [socketSource()]),
    examples: ["nodes", "nodes --json", "nodes --socket"],
    load: async () => (await import("./list.ts")).listNodes,
  },
  {
    name: "leases",
    summary: "who holds or may hold which subnet",
    options: onLog(() => [socketSource()]),
    examples: ["leases", "leases --json"],
    load: async () => (await import("./list.ts")).listLeases,
  },
  {
    name: "peers",
    summary: "foreign VTEPs",
    options: onLog(() => [socketSource()]),
    examples: ["peers", "peers --json"],
    load: async () => (await import("./list.ts")).listPeers,
  },
  {
    name: "events",
    summary: "the log, one event per line, with what became of it",
    options: onLog((env) => [
      flag(env, "--from <seq|time>", "first event (default: 1)", point),
      flag(env, "--to <seq|time>", "last event (default: the newest)", point),
      flag(
        env,
        "--type <type>",
        "only this type; repeatable",
        collecting((text) => text),
      ),
      flag(env, "--follow", "go on as events come"),
    ]),
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
    options: onLog((env) => [
      atFlag(env),
      nodeFlag(env, "with the entries that this host holds on demand"),
    ]),
    examples: ["state", "state --at 10m", "state --at 42 --json"],
    load: async () => (await import("./state.ts")).state,
  },
];

const comparing: readonly CommandSpec[] = [
  {
    name: "plan",
    summary: "the kernel state that a host should have, as commands",
    options: (env) => [
      ...logFlags(env),
      nodeFlag(env),
      atFlag(env),
      flag(env, "--format <format>", "ip (default) or json", oneOf(["ip", "json"])),
    ],
    examples: ["plan --node h1", "plan --node h1 --at 2h --format json"],
    load: async () => (await import("./plan.ts")).plan,
  },
  {
    name: "diff",
    summary: "what changed between two points, in the fabric or in one host's kernel",
    options: onLog((env) => [
      flag(env, "--from <seq|time>", "before", point).makeOptionMandatory(),
      flag(env, "--to <seq|time>", "after (default: the end of the log)", point),
      nodeFlag(env, "only this host, as ip commands"),
    ]),
    examples: ["diff --from 10m", "diff --from 40 --to 42 --node h1"],
    load: async () => (await import("./diff.ts")).diff,
  },
  {
    name: "wait",
    summary: "until every live host has applied a sequence",
    options: (env) => [
      ...logFlags(env),
      flag(
        env,
        "--seq <seq>",
        "what they must have applied",
        wholeNumber(1, 1e15),
      ).makeOptionMandatory(),
      flag(env, "--nodes <n>", "at least so many live hosts (default: 1)", wholeNumber(0, 1e6)),
      flag(env, "--timeout <duration>", "give up after (default: 60s)", duration),
    ],
    examples: ["wait --seq 42", "wait --seq 42 --nodes 3 --timeout 30s"],
    load: async () => (await import("./wait.ts")).wait,
  },
];

export const logCommands: readonly CommandSpec[] = [...writing, ...reading, ...comparing];
