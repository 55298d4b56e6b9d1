// Conflicts in plain sight: records that the fold refused, and hosts that say they are not well.

import { rows, show, state } from "./store.ts";
import { clockTime } from "./time.ts";

const SHOWN_MAX = 50;

export function Problems() {
  const quarantine = state.value?.quarantine ?? { count: 0, recent: [] };
  const unwell = rows.value.filter(({ problems }) => problems.length > 0).slice(0, SHOWN_MAX);
  const refused = quarantine.recent.toReversed().slice(0, SHOWN_MAX);
  return (
    <>
      <h2>
        Problems <span class="hint">{quarantine.count} refused records</span>
      </h2>
      {unwell.length + refused.length === 0 && <p class="hint">None at this moment.</p>}
      <ul>
        {unwell.map(({ name, problems }) => (
          <li key={name}>
            <button type="button" onClick={() => show({ host: name })}>
              {name}
            </button>{" "}
            {problems.join("; ")}
          </li>
        ))}
        {refused.map(({ seq, timeMs, subject, type, reason }) => (
          <li key={seq}>
            <button type="button" onClick={() => show({ at: seq })}>
              {seq}
            </button>{" "}
            <b>{type ?? "unreadable"}</b> {reason}{" "}
            <span class="hint">
              {subject}, {clockTime(new Date(timeMs).toISOString())}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
