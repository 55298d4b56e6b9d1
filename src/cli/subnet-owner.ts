// Whether subnet.env on this host is ours to remove: it is when it speaks of a subnet that the log
// gave to this node. flannel's own file has the same name and format.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Cidr, containsIp, parseIp } from "../events/address.ts";
import { foldTo } from "../events/past.ts";
import { decodeSnapshot } from "../events/snapshot.ts";
import { type StateDocument, stateDocument } from "../events/state-document.ts";
import { askAgent } from "./agent-client.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { knownFailure } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";
import { socketPath, subnetFile } from "./paths.ts";

interface OwnerFlags extends LogFlags, NodeFlag {
  readonly socket?: string;
  readonly stateDir: string;
  readonly subnetFile?: string;
}

export async function subnetFileIsOurs(deps: Deps, flags: OwnerFlags): Promise<boolean> {
  const path = subnetFile(flags);
  const text = await readOrNull(path);
  if (text === null) return false;
  const subnets = await subnetsOfNode(deps, flags);
  if (subnets !== null && speaksOf(text, subnets)) return true;
  const why = subnets === null ? "neither log nor snapshot tells whose" : "its subnet is not ours";
  deps.out.note(`heddle: ${path} stays: ${why}`);
  return false;
}

function speaksOf(text: string, subnets: readonly Cidr[]): boolean {
  const found = [...text.matchAll(/^FLANNEL_(?:IPV6_)?SUBNET=(.+)\/\d+$/gm)];
  return found.some(([, address = ""]) => {
    const ip = parseIp(address);
    return ip !== null && subnets.some((subnet) => containsIp(subnet, ip));
  });
}

/** Of its lease and of its last one; null when nobody knows. */
async function subnetsOfNode(deps: Deps, flags: OwnerFlags): Promise<readonly Cidr[] | null> {
  const node = flags.node ?? deps.hostName;
  for (const ask of [fromAgent, fromLog, fromSnapshot]) {
    const state = await ask(deps, flags);
    if (state === null) continue;
    const lease = state.leases.find((item) => item.node === node)?.subnets ?? [];
    const previous = state.nodes.find((item) => item.node === node)?.previous ?? [];
    return [...lease, ...previous];
  }
  return null;
}

async function fromAgent(_deps: Deps, flags: OwnerFlags): Promise<StateDocument | null> {
  return await orNull(askAgent<StateDocument>(socketPath(flags), "GET", "/v1/state"));
}

async function fromLog(deps: Deps, flags: OwnerFlags): Promise<StateDocument | null> {
  const read = withLog(deps, flags, async ({ log }) =>
    stateDocument(await foldTo(log, flags.fabric, null, deps.wallMs())),
  );
  return await orNull(read);
}

async function fromSnapshot(_deps: Deps, flags: OwnerFlags): Promise<StateDocument | null> {
  const text = await readOrNull(join(flags.stateDir, "snapshot.json"));
  if (text === null) return null;
  const decoded = decodeSnapshot(flags.fabric, text);
  return decoded.ok ? stateDocument(decoded.snapshot.state) : null;
}

/** Whoever cannot be asked does not know; anything unexpected is a bug and goes on. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (knownFailure(error) === null) throw error;
    return null;
  }
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
