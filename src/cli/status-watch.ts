// heddle status --watch: the agent of this host as it changes, until Ctrl-C. On a terminal the
// whole status is drawn again; anything else gets one line for each change.

import type { AgentStatus } from "../agent/status.ts";
import { sleep } from "../events/clock.ts";
import { askAgent } from "./agent-client.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, EXIT_UNREACHABLE, Failure } from "./failure.ts";
import { printable } from "./output.ts";

const LOOK_MS = 250;
/** ECMA-48: cursor to the first column of the first line, erase to the end of the screen. */
const HOME_AND_ERASE = "\u001b[H\u001b[J";

export interface Views {
  /** Everything, for a terminal. */
  readonly full: (found: AgentStatus) => readonly string[];
  /** One line. */
  readonly line: (found: AgentStatus) => string;
}

/** Goes on while the agent is away, and says so. */
export async function watchStatus(deps: Deps, socket: string, views: Views): Promise<number> {
  const stop = new AbortController();
  const forget = deps.onSignal(() => stop.abort());
  let shown = "";
  try {
    while (!stop.signal.aborted) {
      const rows = deps.out.terminalRows();
      const lines = await look(socket, rows === null ? (found) => [views.line(found)] : views.full);
      const text = lines.map(printable).join("\n");
      if (text !== shown) {
        if (rows === null) deps.out.line(text);
        else deps.out.raw(HOME_AND_ERASE + fitting(text.split("\n"), rows));
      }
      shown = text;
      await sleep(deps.clock, LOOK_MS, stop.signal);
    }
  } finally {
    forget();
  }
  return EXIT_OK;
}

async function look(socket: string, view: Views["full"]): Promise<readonly string[]> {
  try {
    return view(await askAgent<AgentStatus>(socket, "GET", "/v1/status"));
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT_UNREACHABLE) return [error.message];
    throw error;
  }
}

/** What does not fit would scroll the top away, and health is at the top. */
function fitting(lines: readonly string[], rows: number): string {
  if (lines.length < rows) return `${lines.join("\n")}\n`;
  const kept = lines.slice(0, Math.max(1, rows - 2));
  return `${[...kept, `… ${lines.length - kept.length} more lines`].join("\n")}\n`;
}
