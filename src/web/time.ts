// Times as people read them: their own zone, seconds, and the date only where it matters.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** An ISO time in the reader's own zone. */
export function clockTime(iso: string): string {
  return clock.format(new Date(iso));
}

const short = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

/** As `clockTime`, for a column of many. */
export function shortTime(iso: string): string {
  return short.format(new Date(iso));
}
