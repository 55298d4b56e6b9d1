// The slider through the whole history. It moves with the hand at once; the moment it stands at is
// loaded as fast as the server answers.

import { chosenAt, head, live, show, state } from "./store.ts";
import { clockTime } from "./time.ts";

export function Timeline() {
  const at = chosenAt.value ?? head.value;
  const time = state.value?.time ?? null;
  return (
    <footer>
      <label for="at">
        {live.value ? "Now" : `Sequence ${at}`}
        {!live.value && time !== null && state.value?.seq === at && ` · ${clockTime(time)}`}
      </label>
      <input
        id="at"
        type="range"
        min={0}
        max={head.value}
        value={at}
        aria-valuetext={live.value ? "live" : `sequence ${at}`}
        onInput={(event) => {
          const seq = Number(event.currentTarget.value);
          show({ at: seq >= head.peek() ? null : seq }, "replace");
        }}
      />
      <p class="hint keys">
        <kbd>[</kbd> <kbd>]</kbd> one event back or on, <kbd>l</kbd> live, <kbd>/</kbd> find a host,{" "}
        <kbd>Esc</kbd> all hosts
      </p>
    </footer>
  );
}
