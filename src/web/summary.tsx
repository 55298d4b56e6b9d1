// The bar at the top: which fabric, which moment, and how many hosts are how.

import { HEALTH_TEXT, HEALTHS } from "./hosts.ts";
import { head, live, rows, show, state } from "./store.ts";
import { clockTime } from "./time.ts";

export function Summary() {
  const shown = state.value;
  const counts = Map.groupBy(rows.value, (row) => row.health);
  return (
    <header>
      <h1>
        Heddle <span class="fabric">{shown?.fabric}</span>
      </h1>
      <ul class="counts" aria-label="Hosts by state">
        {HEALTHS.map((health) => {
          const count = counts.get(health)?.length ?? 0;
          if (count === 0) return null;
          return (
            <li key={health} class={`health ${health}`}>
              <b>{count}</b> {HEALTH_TEXT[health]}
            </li>
          );
        })}
      </ul>
      <p class="moment" aria-live="off">
        sequence <b>{shown?.seq ?? "…"}</b>
        {live.value ? "" : ` of ${head.value}`}
        {shown?.time && <time dateTime={shown.time}> {clockTime(shown.time)}</time>}
      </p>
      <button
        type="button"
        class="live"
        aria-pressed={live.value}
        onClick={() => show({ at: live.peek() ? (state.peek()?.seq ?? null) : null })}
      >
        {live.value ? "Live" : "Past: back to live"}
      </button>
    </header>
  );
}
