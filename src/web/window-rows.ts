// Which rows of a long list are in sight. All rows have one height, so this is arithmetic.

export interface WindowRows {
  readonly first: number;
  readonly count: number;
}

/** Rows drawn beyond each edge, so that a quick scroll shows no gap. */
const SPARE = 8;

export function windowRows(
  total: number,
  rowHeight: number,
  scrollTop: number,
  viewHeight: number,
): WindowRows {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - SPARE);
  const last = Math.min(total, Math.ceil((scrollTop + viewHeight) / rowHeight) + SPARE);
  return { first: Math.min(first, total), count: Math.max(0, last - first) };
}
