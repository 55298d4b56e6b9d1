// Network namespaces of a development fabric: made and removed with iproute2, so that what a reader
// sees here is what they would type.

import { spawnSync } from "node:child_process";

/** Runs a command to its end; throws with its own words when it fails. */
export function run(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const done = spawnSync(program, args, { encoding: "utf8" });
  if (done.error !== undefined) throw new Error(`${program}: ${done.error.message}`);
  if (done.status !== 0) {
    throw new Error(`${command.join(" ")}: ${done.stderr.trim() || `exit ${done.status}`}`);
  }
  return done.stdout;
}

/** `ip -n NAMESPACE …`, arguments separated by single spaces. */
export function ip(netns: string, args: string): string {
  return run(["ip", "-n", netns, ...args.split(" ")]);
}

/** The command line that runs `command` inside a namespace; the process keeps its pid. */
export function inside(netns: string, command: readonly string[]): readonly string[] {
  // Not `ip netns exec`: that remounts /sys, which container runtimes do not survive.
  return ["nsenter", `--net=/run/netns/${netns}`, ...command];
}

export function addNetns(netns: string): void {
  run(["ip", "netns", "add", netns]);
  ip(netns, "link set lo up");
}

export function deleteNetns(netns: string): void {
  spawnSync("ip", ["netns", "delete", netns]);
}

export interface VethEnd {
  readonly netns: string;
  readonly dev: string;
}

export function addVeth(a: VethEnd, b: VethEnd): void {
  ip(a.netns, `link add ${a.dev} type veth peer name ${b.dev} netns ${b.netns}`);
}
