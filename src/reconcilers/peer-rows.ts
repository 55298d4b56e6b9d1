// What a vxlan host holds for each of its peers, kept from plan to plan: an event is about one
// peer, and with 10 000 of them making the others' rows anew is most of what a plan costs. A row is
// taken again only while all that it was made of is the very same.

import type { Cidr } from "../events/address.ts";
import type { FabricState, ForeignPeer, Node } from "../events/state.ts";
import type { OwnPlan } from "./draft.ts";
import type { Fdb, Neigh, Route } from "./kernel-state.ts";
import { foreignPeer, memberPeer, type Peer } from "./peer.ts";
import type { PeerPlan } from "./plan.ts";

export type Served =
  | { readonly noun: "route"; readonly key: string; readonly object: Route }
  | { readonly noun: "neigh"; readonly key: string; readonly object: Neigh }
  | { readonly noun: "fdb"; readonly key: string; readonly object: Fdb };

export interface PeerPart {
  readonly plan: PeerPlan;
  readonly objects: readonly Served[];
}

interface Row extends PeerPart {
  readonly of: Node | ForeignPeer;
  /** Of a node's lease; null for a foreign peer, which names its own. */
  readonly subnets: readonly Cidr[] | null;
}

type Make = (peer: Peer) => PeerPart;

/** So many may be gone in one place; when it is more, what follows is made anew once. */
const GONE_MAX = 8;

export class PeerRows {
  #own: OwnPlan | null = null;
  #rows: readonly Row[] = [];

  /**
   * A row for each peer of `self`, in the order of the log. `own` is all that `make` depends on
   * besides the peer.
   */
  of(state: Readonly<FabricState>, self: string, own: OwnPlan, make: Make): readonly PeerPart[] {
    const known = own === this.#own ? this.#rows : [];
    const rows: Row[] = [];
    let at = 0;
    const take = (of: Row["of"], subnets: Row["subnets"]): boolean => {
      // Rows keep their order: one that is not next has a successor that is, unless it is new.
      const from = at;
      for (; at < known.length && at <= from + GONE_MAX; at += 1) {
        const row = known[at];
        if (row?.of !== of || row.subnets !== subnets) continue;
        rows.push(row);
        at += 1;
        return true;
      }
      at = from;
      return false;
    };
    for (const { node: name, subnets } of state.leases.values()) {
      const node = state.nodes.get(name);
      if (name === self || !node?.present || take(node, subnets)) continue;
      rows.push({ ...make(memberPeer(node, subnets)), of: node, subnets });
    }
    for (const peer of state.peers.values()) {
      if (take(peer, null)) continue;
      rows.push({ ...make(foreignPeer(peer)), of: peer, subnets: null });
    }
    this.#own = own;
    this.#rows = rows;
    return rows;
  }
}
