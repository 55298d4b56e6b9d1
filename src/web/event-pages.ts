// Events by sequence, in pages that are fetched when they come into sight and forgotten when there
// are too many of them. Every event is in one place of the list, because the log has no holes.

export interface EventRow {
  readonly seq: number;
  readonly time: string;
  readonly subject: string;
  readonly type: string | null;
  readonly data: unknown;
  readonly verdict: { readonly kind: string; readonly reason?: string };
}

/** An answer of the server. */
export interface EventPage {
  readonly events: readonly EventRow[];
  readonly next: number | null;
}

const PAGE_ROWS = 200;
const PAGES_MAX = 60;
const RETRY_MS = 1000;

/** Events of one type that the page holds at most. */
export const FILTERED_MAX = 20_000;

/** The newest events of the types that are chosen, without a hole. */
export interface Filtered {
  /** In the order of the log. */
  readonly rows: readonly EventRow[];
  /** Where those before them end, or null when there are none. */
  readonly older: number | null;
}

/** With those of the events that come after it, in the log's order; of too many the oldest go. */
export function followedBy({ rows, older }: Filtered, events: readonly EventRow[]): Filtered {
  const last = rows.at(-1)?.seq ?? 0;
  const all = [...rows, ...events.filter(({ seq }) => seq > last)];
  const dropped = all.length - FILTERED_MAX;
  if (dropped <= 0) return { rows: all, older };
  return { rows: all.slice(dropped), older: all[dropped - 1]?.seq ?? older };
}

/** With a page of what comes before it, newest first. */
export function precededBy({ rows }: Filtered, page: EventPage): Filtered {
  return { rows: [...page.events.toReversed(), ...rows], older: page.next };
}

export function hasRoom({ rows, older }: Filtered): boolean {
  return older !== null && rows.length < FILTERED_MAX;
}

export interface EventPages {
  /** The event if it is here; else undefined, and its page is asked for. */
  at(seq: number): EventRow | undefined;
  add(event: EventRow): void;
}

export function createEventPages(deps: {
  readonly load: (from: number, count: number) => Promise<readonly EventRow[]>;
  readonly onChange: () => void;
}): EventPages {
  /** Least recently used first. */
  const pages = new Map<number, Map<number, EventRow>>();
  const loading = new Set<number>();

  function touch(index: number): Map<number, EventRow> {
    const page = pages.get(index) ?? new Map<number, EventRow>();
    pages.delete(index);
    pages.set(index, page);
    for (const oldest of pages.keys()) {
      if (pages.size <= PAGES_MAX) break;
      pages.delete(oldest);
    }
    return page;
  }

  async function load(index: number): Promise<void> {
    loading.add(index);
    try {
      const rows = await deps.load(index * PAGE_ROWS + 1, PAGE_ROWS);
      const page = touch(index);
      for (const row of rows) page.set(row.seq, row);
    } catch {
      // The rows stay empty; whoever draws them asks again at once, so they are drawn again later.
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    } finally {
      loading.delete(index);
      deps.onChange();
    }
  }

  return {
    at(seq) {
      const index = Math.floor((seq - 1) / PAGE_ROWS);
      const found = pages.get(index)?.get(seq);
      if (found !== undefined) touch(index);
      else if (!loading.has(index)) void load(index);
      return found;
    },
    add(event) {
      touch(Math.floor((event.seq - 1) / PAGE_ROWS)).set(event.seq, event);
    },
  };
}
