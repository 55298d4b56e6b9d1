// When to try a delivery again, and when to give it up: three days after the event at the latest.
//
// Later events of the hook wait meanwhile, since they come in order. So age counts as well as the
// number of attempts: a receiver that is gone for a week does not hold up each of them for three
// days of its own.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const GIVE_UP_MS = 72 * HOUR_MS;

const GROWING_MS = [
  ...[5000, 30_000, 2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS],
  ...[1, 2, 4, 8, 12, 12, 12, 12].map((hours) => hours * HOUR_MS),
];

/** After the first attempt, the second, …; together three days. */
export const PAUSES_MS: readonly number[] = [
  ...GROWING_MS,
  GIVE_UP_MS - GROWING_MS.reduce((sum, ms) => sum + ms, 0),
];

/** Also of an event that was old before anybody could try: no server ran. */
const ATTEMPTS_MIN = 3;
const SPREAD = 0.1;

/**
 * How long to wait after attempt number `attempt`, counted from 1, failed; null gives up. `ageMs`
 * is how long ago the event was stored, `lot` is from 0 to 1.
 */
export function pauseAfter(
  attempt: number,
  ageMs: number,
  lot: number,
  pausesMs: readonly number[] = PAUSES_MS,
): number | null {
  if (ageMs > GIVE_UP_MS && attempt >= ATTEMPTS_MIN) return null;
  const pause = pausesMs[attempt - 1];
  return pause === undefined ? null : Math.round(pause * (1 + SPREAD * (2 * lot - 1)));
}
