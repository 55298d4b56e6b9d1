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

const PAGE_ROWS = 200;
const PAGES_MAX = 60;
const RETRY_MS = 1000;

/** Events of one type that the page holds at most. */
export const FILTERED_MAX = 20_000;

/**
 * The list and those of the events that come after it, both in the order of the log; of too many
 * the oldest go.
 */
export function followedBy(list: readonly EventRow[], events: readonly EventRow[]): EventRow[] {
  const last = list.at(-1)?.seq ?? 0;
  return [...list, ...events.filter(({ seq }) => seq > last)].slice(-FILTERED_MAX);
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
