// The table that the tunnel goes by, kept beside the snapshot for the next process of this host:
// all that is needed to carry packets before anything else is loaded. It holds what the packet
// path last accepted and nothing older: it is removed the moment that changes, and written when
// it rests. Nobody needs it: without it the snapshot serves, a little later. It is not synced to
// the disk: what was written before a reboot is of no use after it.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "../events/clock.ts";
import type { TunnelTable } from "../reconcilers/kernel-tunnel.ts";
import { sha256 } from "./sha256.ts";

/** Raise when the meaning of a field changes: what was written with another is ignored. */
const FORMAT = 1;
/** While peers come and go there is nothing worth keeping. */
const REST_MS = 300;

/** For whom a table is kept: the next process must be the same in all of this. */
export interface KeptFor {
  /** The command line without the program. */
  readonly argv: readonly string[];
  /** Of it all that begins with HEDDLE_ counts. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostName: string;
  /** Of the program: another may understand the same command line in another way. */
  readonly version: string;
  /** Boot and network namespace. */
  readonly instance: string;
}

export interface KeptTable extends TunnelTable {
  readonly fabric: string;
  readonly node: string;
}

const pathIn = (stateDir: string): string => join(stateDir, "tunnel.json");

/** Says that the table is whole and for whom; a digest, because flags may hold secrets. */
function sealOf(whom: KeptFor, table: string): string {
  const names = Object.keys(whom.env).filter((name) => name.startsWith("HEDDLE_"));
  const env = names.sort().map((name) => [name, whom.env[name]]);
  // Said once, and never by a process that goes on from a file.
  const argv = whom.argv.filter((word) => word !== "--takeover");
  const text = JSON.stringify([FORMAT, argv, env, whom.hostName, whom.version, whom.instance]);
  return sha256(new TextEncoder().encode(`${text}\n${table}`)).toHex();
}

export function encodeTable(whom: KeptFor, kept: KeptTable): string {
  const text = JSON.stringify(kept);
  return `${sealOf(whom, text)}\n${text}`;
}

/**
 * Null unless it is whole and was kept for exactly `whom`. Its shape is not checked: the seal says
 * that this very program wrote it.
 */
export function decodeTable(whom: KeptFor, text: string): KeptTable | null {
  const end = text.indexOf("\n");
  const table = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== sealOf(whom, table)) return null;
  return JSON.parse(table) as KeptTable;
}

export function hasTable(stateDir: string): boolean {
  return existsSync(pathIn(stateDir));
}

export function readTable(stateDir: string, whom: KeptFor): KeptTable | null {
  try {
    return decodeTable(whom, readFileSync(pathIn(stateDir), "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

export interface TunnelKeeperDeps {
  readonly clock: Clock;
  readonly stateDir: string;
  readonly onFailure: (reason: string) => void;
}

/** The function that it returns is told each table; null when none may be gone on with. */
export function createTunnelKeeper(
  { clock, stateDir, onFailure }: TunnelKeeperDeps,
  whom: KeptFor,
  of: Pick<KeptTable, "fabric" | "node">,
): (table: TunnelTable | null) => void {
  const path = pathIn(stateDir);
  let cancel = (): void => undefined;

  function attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      onFailure(error instanceof Error ? error.message : String(error));
    }
  }

  function write(table: TunnelTable): void {
    const temporary = `${path}.${process.pid}.tmp`;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, encodeTable(whom, { ...table, ...of }), { mode: 0o600 });
    renameSync(temporary, path);
  }

  return (table) => {
    cancel();
    attempt(() => rmSync(path, { force: true }));
    if (table !== null) cancel = clock.after(REST_MS, () => attempt(() => write(table)));
  };
}
