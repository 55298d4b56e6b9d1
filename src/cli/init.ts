// heddle init: makes the streams if absent and appends FabricConfigured. The same configuration
// again changes nothing.

import { readFile } from "node:fs/promises";
import { decide } from "../events/decide.ts";
import { foldTo } from "../events/past.ts";
import { initialState } from "../events/state.ts";
import { alreadySo } from "../http/already.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";
import { writeCommand } from "./write.ts";

interface InitFlags extends LogFlags {
  readonly config: string;
  readonly replicas?: number;
  readonly json?: boolean;
}

export async function init(deps: Deps, flags: InitFlags): Promise<number> {
  const at = flags.config === "-" ? "standard input" : flags.config;
  const document = await readDocument(flags.config, at);
  const command = { type: "Configure", document } as const;
  // Before anything is made: a wrong document must leave no stream behind.
  const decision = decide(initialState(flags.fabric), command);
  if (!decision.ok) throw misuse(at, decision.reason);
  return await withLog(deps, flags, async (connection) => {
    await connection.createStream(flags.replicas ?? 1);
    const state = await foldTo(connection.log, flags.fabric, null, deps.wallMs());
    const same = alreadySo(state, command);
    const seq = same ? state.configSeq : await writeCommand(connection.log, state, command, at);
    if (flags.json) deps.out.json({ fabric: flags.fabric, seq, changed: !same });
    else if (same) deps.out.line(`fabric ${flags.fabric}: unchanged since sequence ${seq}`);
    else deps.out.line(`fabric ${flags.fabric}: configured at sequence ${seq}`);
    return EXIT_OK;
  });
}

async function readDocument(path: string, at: string): Promise<unknown> {
  let text: string;
  try {
    text = path === "-" ? await Bun.stdin.text() : await readFile(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw misuse(`--config ${at}`, `cannot be read (${reason})`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw misuse(at, `expected JSON: ${reason}`);
  }
}
