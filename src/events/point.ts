// Places in the log as people type them: a sequence (42), a time (2026-11-20T14:03:00Z) or how long
// ago (10m). Pure: "now" is handed in where it is needed.

export type Point =
  | { readonly kind: "seq"; readonly text: string; readonly seq: number }
  | { readonly kind: "time"; readonly text: string; readonly ms: number }
  | { readonly kind: "ago"; readonly text: string; readonly ms: number };

export const POINT_EXPECTED =
  "expected a sequence (42), a time (2026-01-31T14:03:00Z) or how long ago (10m, 2h)";
export const DURATION_EXPECTED = "expected a duration such as 30s, 10m, 2h or 1h30m";
/** A hundred years; a date ends after 270 000. */
const DURATION_MS_MAX = 36_500 * 86_400_000;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds, or null. */
export function parseDuration(text: string): number | null {
  if (!/^(\d{1,9}(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    total += Number(amount) * (UNIT_MS[unit ?? ""] ?? Number.POSITIVE_INFINITY);
  }
  return total <= DURATION_MS_MAX ? total : null;
}

export function parsePoint(text: string): Point | null {
  if (/^\d+$/.test(text)) {
    const seq = Number(text);
    return seq >= 1 && Number.isSafeInteger(seq) ? { kind: "seq", text, seq } : null;
  }
  const ago = parseDuration(text.replace(/ ?ago$/, ""));
  if (ago !== null) return { kind: "ago", text, ms: ago };
  const ms = parseTime(text);
  return ms === null ? null : { kind: "time", text, ms };
}

const TIME = /^(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** Stricter than Date.parse, which also takes "1 Jan" and makes 2 March of 30 February. */
function parseTime(text: string): number | null {
  const date = TIME.exec(text)?.[1];
  const dayMs = date === undefined ? Number.NaN : Date.parse(date);
  if (date === undefined || Number.isNaN(dayMs) || !isoTime(dayMs).startsWith(date)) return null;
  const ms = Date.parse(text.replace(" ", "T"));
  return Number.isNaN(ms) ? null : ms;
}

/** The last instant that `point` includes; null for a sequence. */
export function instantOf(point: Point, nowMs: number): number | null {
  switch (point.kind) {
    case "seq":
      return null;
    case "time":
      return point.ms;
    case "ago":
      return nowMs - point.ms;
  }
}

/** `90` seconds as `1m30s`, for people. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  let rest = Math.round(ms / 1000);
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const amount = Math.floor(rest / seconds);
    rest -= amount * seconds;
    if (amount > 0) parts.push(`${amount}${unit}`);
  }
  return parts.slice(0, 2).join("") || "0s";
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
