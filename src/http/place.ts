// Which sequence a request is about: the point it names, or the end of the log as it is now. The
// answer's headers say which it was, and whether the log could be asked.

import type { Context } from "hono";
import type { Point } from "../events/point.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";

/** Throws PastError, LogError or Problem. */
export async function seqOf(
  c: Context<Env>,
  { follower, history }: Pick<HookDeps, "follower" | "history">,
  name: string,
  point: Point | undefined,
): Promise<number> {
  if (point !== undefined) {
    const seq = await history.resolve({ name, point });
    c.header("heddle-seq", String(seq));
    return seq;
  }
  const stale = await follower.fresh();
  if (stale !== null) c.header("heddle-stale", stale);
  const { seq } = follower.state();
  c.header("heddle-seq", String(seq));
  return seq;
}
