// What is to be said in the log about entries on demand. It compares what the host holds with what
// the log says that it holds and names the difference, so nothing is lost while the log is away and
// nothing is said twice; a peer that came and went between two events is none. Questions about
// addresses that nobody owns are named by address up to a number, and counted beyond.

import type { Cidr, Ip } from "../events/address.ts";
import type { Draft } from "../events/event.ts";

/** As many as one event holds. */
const ENTRIES_MAX = 256;
const UNKNOWN_MAX = 32;

export interface MissCounts {
  /** Questions answered with a peer's entries. */
  readonly answered: number;
  /** Questions about addresses that nobody owns. */
  readonly unknown: number;
  /** Of those, how many no event names. */
  readonly suppressed: number;
}

export interface MissJournal {
  answered(subnet: Cidr, waitedUs: number): void;
  unknown(address: Ip): void;
  /**
   * What is to be published now, or null; call `published` when the log has it. `peerOf` names who
   * has a subnet, or null.
   */
  next(
    held: Iterable<Cidr>,
    logged: ReadonlySet<Cidr>,
    peerOf: (subnet: Cidr) => string | null,
  ): Draft | null;
  published(draft: Draft): void;
  counts(): MissCounts;
}

export function createMissJournal(node: string): MissJournal {
  /** Of answers that no event told of yet. */
  const waited = new Map<Cidr, number>();
  let strangers = new Map<Ip, number>();
  let unnamed = 0;
  const counts = { answered: 0, unknown: 0, suppressed: 0 };

  function missed(subnets: readonly Cidr[], peerOf: (subnet: Cidr) => string | null): Draft {
    const answered = subnets.flatMap((subnet) => {
      const peer = peerOf(subnet);
      return peer === null ? [] : [{ subnet, peer, waitedUs: waited.get(subnet) ?? null }];
    });
    const unknown = Array.from(strangers, ([address, count]) => ({ address, count }));
    return {
      type: "NeighborMissed",
      data: { node, answered, unknown, suppressed: unnamed },
    };
  }

  return {
    answered: (subnet, waitedUs) => {
      counts.answered++;
      if (!waited.has(subnet)) waited.set(subnet, waitedUs);
    },
    unknown: (address) => {
      counts.unknown++;
      const count = strangers.get(address);
      if (count !== undefined || strangers.size < UNKNOWN_MAX) {
        strangers.set(address, (count ?? 0) + 1);
        return;
      }
      unnamed++;
      counts.suppressed++;
    },
    next: (held, logged, peerOf) => {
      const now = new Set(held);
      const come = [...now].filter((subnet) => !logged.has(subnet)).slice(0, ENTRIES_MAX);
      // An answer for somebody that the log knows is held is old news.
      for (const subnet of waited.keys()) if (logged.has(subnet)) waited.delete(subnet);
      if (come.length > 0 || strangers.size > 0) return missed(come, peerOf);
      const gone = [...logged].filter((subnet) => !now.has(subnet)).slice(0, ENTRIES_MAX);
      return gone.length === 0 ? null : { type: "NeighborAged", data: { node, subnets: gone } };
    },
    published: (draft) => {
      if (draft.type !== "NeighborMissed") return;
      for (const { subnet } of draft.data.answered) waited.delete(subnet);
      unnamed -= draft.data.suppressed;
      const left = new Map<Ip, number>();
      for (const [address, count] of strangers) {
        const told = draft.data.unknown.find((each) => each.address === address)?.count ?? 0;
        if (count > told) left.set(address, count - told);
      }
      strangers = left;
    },
    counts: () => ({ ...counts }),
  };
}
