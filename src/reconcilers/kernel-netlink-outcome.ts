// How netlink errors become outcomes of ops: one line with the errno's name and the kernel's words.

import { NetlinkError } from "../ffi/netlink/error.ts";
import { errnoName, isGone } from "./errno.ts";
import type { Op, OpOutcome } from "./op.ts";

export const DONE: OpOutcome = { ok: true };

export function failure(errno: number, reason: string | null): OpOutcome {
  const name = errnoName(errno);
  return { ok: false, errno, message: reason === null ? name : `${name}: ${oneLine(reason)}` };
}

/** An outcome that is not the kernel's doing. */
export function refusal(reason: string): OpOutcome {
  return { ok: false, errno: 0, message: oneLine(reason) };
}

/** The first error that counts decides; a removal of something already gone is done. */
export function outcomeOf(verb: Op["verb"], results: readonly (NetlinkError | null)[]): OpOutcome {
  for (const error of results) {
    if (error === null || (verb === "del" && isGone(error.errno))) continue;
    return failure(error.errno, error.extack);
  }
  return DONE;
}

/** Runs a lookup that may throw NetlinkError, as part of an op, which must not throw. */
export async function attempt(work: () => OpOutcome | Promise<OpOutcome>): Promise<OpOutcome> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NetlinkError) return failure(error.errno, error.extack);
    throw error;
  }
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, "; ");
}
