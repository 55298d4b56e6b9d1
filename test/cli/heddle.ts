// Runs the program as a user does, in a process of its own, with no HEDDLE_ variable of the
// caller's.

import { fileURLToPath } from "node:url";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import type { History } from "../support/history.ts";
import { mortal } from "../support/mortal.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Network namespace, as `ip netns` names it. */
  readonly netns?: string;
}

export async function heddle(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawnHeddle(args, options);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

export function spawnHeddle(args: readonly string[], options: RunOptions = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HEDDLE_"));
  const inside = options.netns === undefined ? [] : ["ip", "netns", "exec", options.netns];
  return Bun.spawn(mortal([...inside, process.execPath, MAIN, ...args]), {
    env: { ...Object.fromEntries(inherited), ...options.env },
    stdin: new TextEncoder().encode(options.stdin ?? ""),
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Puts a story into a real log, record by record, so that sequences agree. */
export async function store(connection: LogConnection, story: History): Promise<void> {
  for (const { seq, subject, payload } of story.records) {
    const appended = await connection.log.append({ subject, payload, id: `story-${seq}` });
    if (!appended.ok || appended.seq !== seq) throw new Error(`record ${seq} is not at its place`);
  }
}

/** Stamps of a real server, made equal for comparison. */
export function timeless(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<t>");
}

export function lines(text: string): readonly string[] {
  return text.split("\n").slice(0, -1);
}
