// heddle token create, list, revoke: who may use the HTTP hook. The token itself is printed once
// and is nowhere afterwards; the log has its hash.

import { foldTo } from "../events/past.ts";
import { isoTime } from "../events/point.ts";
import type { TokenScope } from "../events/state.ts";
import { newToken } from "../http/bearer.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import { checkArgument, peerName } from "./flags.ts";
import { cell, tableLines } from "./table.ts";
import { type ChangeFlags, change, writeCommand } from "./write.ts";

interface CreateFlags extends ChangeFlags {
  readonly name: string;
  readonly scope: TokenScope;
  /** How long from now, in milliseconds. */
  readonly expires?: number;
}

export async function tokenCreate(deps: Deps, flags: CreateFlags): Promise<number> {
  const { name, scope, expires, fabric } = flags;
  const { text, hash } = newToken(name);
  return await withLog(deps, flags, async ({ log }) => {
    const state = await foldTo(log, fabric, null, deps.wallMs());
    // From the later of the two clocks by which it will be judged.
    const nowMs = Math.max(deps.wallMs(), state.timeMs);
    const expiresAt = expires === undefined ? null : isoTime(nowMs + expires);
    const token = { name, hash, scopes: [scope], expiresAt };
    const seq = await writeCommand(log, state, { type: "CreateToken", ...token }, `token ${name}`);
    if (flags.json) deps.out.json({ name, scopes: [scope], expiresAt, seq, token: text });
    else deps.out.line(text);
    deps.out.note(`heddle: token ${name} is shown this once; the log keeps its hash`);
    return EXIT_OK;
  });
}

export async function tokenList(deps: Deps, flags: ChangeFlags): Promise<number> {
  const { tokens } = await withLog(deps, flags, ({ log }) =>
    foldTo(log, flags.fabric, null, deps.wallMs()),
  );
  const nowMs = deps.wallMs();
  const rows = [...tokens.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, scopes, expiresAt }) => {
      const expired = expiresAt !== null && Date.parse(expiresAt) <= nowMs;
      return { name, scopes, expiresAt, expired };
    });
  if (flags.json) {
    deps.out.json(rows);
    return EXIT_OK;
  }
  const cells = rows.map(({ name, scopes, expiresAt, expired }) => [
    name,
    scopes.join(","),
    cell(expiresAt),
    expired ? "expired" : "valid",
  ]);
  for (const line of tableLines(["NAME", "SCOPE", "EXPIRES", "STATE"], cells)) deps.out.line(line);
  return EXIT_OK;
}

export async function tokenRevoke(
  deps: Deps,
  flags: ChangeFlags,
  args: readonly string[],
): Promise<number> {
  const name = checkArgument<string>("<name>", args[0], peerName);
  return await change(deps, flags, { type: "RevokeToken", name }, `token ${name}`);
}
