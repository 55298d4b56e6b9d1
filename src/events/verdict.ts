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
  return { kind: "quarantined", reason };
}
