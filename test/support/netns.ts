// Network namespaces for tests on the real kernel: made under unique names, joined by veth pairs,
// removed afterwards, also those of test processes that died. State is read with ip, bridge and
// nft, never with our own decoder.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { withNetns } from "../../src/ffi/netns.ts";
import { Stopwatch } from "./stopwatch.ts";

const PREFIX = "hd";
let made = 0;
let skipped = 0;

/**
 * True when this process may make namespaces. Otherwise says SKIPPED on stderr, counts, and returns
 * false; the count is told again at exit so that a green run cannot hide it.
 */
export function requireRoot(what: string): boolean {
  if (process.getuid?.() === 0) return true;
  if (skipped === 0) {
    process.once("exit", () => process.stderr.write(`SKIPPED ${skipped} suites: not root\n`));
  }
  skipped += 1;
  process.stderr.write(`SKIPPED ${what}: needs root for network namespaces\n`);
  return false;
}

/** Runs a program to its end and returns its output; throws with its stderr when it fails. */
export function run(command: readonly string[], input = ""): string {
  const [program = "", ...args] = command;
  const child = Bun.spawnSync([program, ...args], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  if (child.exitCode === 0) return child.stdout.toString();
  throw new Error(`${command.join(" ")}: ${child.stderr.toString().trim()}`);
}

/** One namespace; disposing removes it and everything in it. */
export class Netns {
  readonly name: string;
  readonly path: string;

  constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
  }

  /** `ip -n NAME …`, arguments split at spaces. */
  ip(args: string): string {
    return run(["ip", "-n", this.name, ...args.split(" ")]);
  }

  bridge(args: string): string {
    return run(["bridge", "-n", this.name, ...args.split(" ")]);
  }

  /** What `ip -j` says, as data. */
  ipJson(args: string): Record<string, unknown>[] {
    return rows(run(["ip", "-n", this.name, "-j", "-d", ...args.split(" ")]));
  }

  bridgeJson(args: string): Record<string, unknown>[] {
    return rows(run(["bridge", "-n", this.name, "-j", "-d", ...args.split(" ")]));
  }

  /** Any program, inside the namespace. */
  exec(command: readonly string[], input = ""): string {
    return run(["ip", "netns", "exec", this.name, ...command], input);
  }

  /** Starts a program inside the namespace; the caller ends it. */
  spawn(command: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    return this.enter(() =>
      Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" }),
    );
  }

  /** Runs a synchronous function with this thread inside the namespace. */
  enter<T>(work: () => T): T {
    return withNetns(this.path, work);
  }

  [Symbol.dispose](): void {
    run(["ip", "netns", "del", this.name]);
  }
}

/**
 * A fresh namespace with its loopback up. Its IPv6 addresses are ready at once: after a search for
 * duplicates they would change a second or two later, in the middle of something.
 */
export function makeNetns(): Netns {
  if (made === 0) removeStale();
  made += 1;
  const netns = new Netns(`${PREFIX}-${process.pid}-${made}`);
  run(["ip", "netns", "add", netns.name]);
  netns.enter(() => writeFileSync("/proc/sys/net/ipv6/conf/default/accept_dad", "0"));
  netns.ip("link set lo up");
  return netns;
}

let wires = 0;

interface End {
  readonly netns: Netns;
  readonly dev: string;
  readonly addresses: readonly string[];
}

/**
 *   a: eth0 ──── eth0 :b      (device names and addresses as given; both ends up)
 *
 * No two ends have the same index: of an end whose index is its peer's the kernel may tell only
 * after a second that it has a carrier (linkwatch_urgent_event in net/core/link_watch.c), and that
 * long it knows no IPv6 neighbour.
 *
 * Nothing is left to come by itself: who listens from here on hears of what a test does only.
 */
export function joinByVeth(a: End, b: End): void {
  const index = 1000 + 2 * wires++;
  const peer = `peer name ${b.dev} index ${index + 1} netns ${b.netns.name}`;
  a.netns.ip(`link add ${a.dev} index ${index} type veth ${peer}`);
  for (const { netns, dev, addresses } of [a, b]) {
    for (const address of addresses) {
      const nodad = address.includes(":") ? " nodad" : "";
      netns.ip(`addr add ${address} dev ${dev}${nodad}`);
    }
    netns.ip(`link set ${dev} up`);
  }
  const watch = new Stopwatch();
  for (const end of [a, b]) {
    while (!hasItsAddresses(end)) {
      if (watch.freeMs() > SETTLED_MS) throw new Error(`${end.dev} does not get its addresses`);
    }
  }
}

const SETTLED_MS = 5000;
const RTF_LOCAL = 0x8000_0000;

/**
 * A work queue (addrconf_dad_work in net/ipv6/addrconf.c) gives a device that has come up its IPv6
 * addresses, the link-local one too; the last it tells of each is its route.
 */
function hasItsAddresses({ netns, dev, addresses }: End): boolean {
  const read = (path: string) => netns.enter(() => readFileSync(path, "utf8"));
  if (read(`/proc/sys/net/ipv6/conf/${dev}/disable_ipv6`).trim() === "1") return true;
  const own = read("/proc/thread-self/net/ipv6_route")
    .split("\n")
    .filter((line) => {
      const [, length, , , , , , , flags, of] = line.split(/ +/);
      return of === dev && length === "80" && (Number.parseInt(flags ?? "", 16) & RTF_LOCAL) !== 0;
    });
  return own.length > addresses.filter((address) => address.includes(":")).length;
}

/** Namespaces left by test processes that are gone. */
function removeStale(): void {
  for (const name of namespaces()) {
    const pid = /^hd-(\d+)-\d+$/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Another test process may be removing the same one.
    Bun.spawnSync(["ip", "netns", "del", name]);
  }
}

function namespaces(): string[] {
  try {
    return readdirSync("/run/netns");
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function rows(json: string): Record<string, unknown>[] {
  const parsed: unknown = JSON.parse(json === "" ? "[]" : json);
  // iproute2 prints an empty object for some empty tables and for suppressed entries.
  const list = Array.isArray(parsed) ? parsed : [];
  return list.filter((row) => Object.keys(row).length > 0);
}
