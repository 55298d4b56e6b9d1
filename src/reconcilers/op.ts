// One change to the kernel, as a value. Verbs are those of iproute2: "set" creates or corrects
// (NLM_F_CREATE|NLM_F_REPLACE), "del" removes and is content when the object is already gone.

import type {
  Addr,
  Fdb,
  Link,
  Neigh,
  Noun,
  Route,
  RuleTable,
  Sysctl,
  TunPeer,
} from "./kernel-state.ts";

export interface NounTypes {
  link: Link;
  addr: Addr;
  route: Route;
  neigh: Neigh;
  fdb: Fdb;
  sysctl: Sysctl;
  rule: RuleTable;
  peer: TunPeer;
}

interface OpOf<N extends Noun> {
  readonly verb: "set" | "del";
  readonly noun: N;
  /** Identity within the noun, from `keyOf`. */
  readonly key: string;
  /** What shall be there ("set") or what shall go ("del"). */
  readonly object: NounTypes[N];
  /** What was found under this key: null when missing. For "del" it equals `object`. */
  readonly found: NounTypes[N] | null;
}

export type Op = { [N in Noun]: OpOf<N> }[Noun];

export type OpOutcome =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** Kernel errno as a positive number, 0 when the failure is not the kernel's. */
      readonly errno: number;
      /** errno name and the kernel's extended-ack text, or another reason; one line. */
      readonly message: string;
    };
