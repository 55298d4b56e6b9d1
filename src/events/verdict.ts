// What the fold says about a record.

export type Verdict =
  | { readonly kind: "accepted" }
  /** Honest but too late, or repeated: changes nothing. */
  | { readonly kind: "void"; readonly reason: string }
  /** Undecodable, forged or against the rules: kept with its reason, affects nobody. */
  | { readonly kind: "quarantined"; readonly reason: string };

export const accepted: Verdict = { kind: "accepted" };

export function lost(reason: string): Verdict {
  return { kind: "void", reason };
}

export function against(reason: string): Verdict {
  return { kind: "quarantined", reason: oneLine(reason) };
}

const REASON_CHARS_MAX = 400;

/** The reason may quote what a stranger wrote: kept short, and safe to print on a terminal. */
function oneLine(text: string): string {
  const safe = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
  return safe.length > REASON_CHARS_MAX ? `${safe.slice(0, REASON_CHARS_MAX)}…` : safe;
}
