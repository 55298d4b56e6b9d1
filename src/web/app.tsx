// The page: a bar that says how the fabric is, the map, what was asked about, and the timeline.

import { useEffect } from "preact/hooks";
import { Details } from "./details.tsx";
import { EventList } from "./event-list.tsx";
import { FabricMap } from "./fabric-map.tsx";
import { HostList } from "./host-list.tsx";
import { Problems } from "./problems.tsx";
import { SignIn } from "./sign-in.tsx";
import { chosenHost, needsToken, show, state, trouble } from "./store.ts";
import { Summary } from "./summary.tsx";
import { Timeline } from "./timeline.tsx";

export function App() {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  if (needsToken.value) return <SignIn />;
  const host = chosenHost.value;
  return (
    <>
      <Summary />
      {trouble.value !== null && (
        <p class="trouble" role="status">
          {trouble.value}; what is shown may be old.
        </p>
      )}
      <main>
        <section class="map" aria-label="Map of the fabric">
          {state.value === null ? <p class="hint">Reading the log…</p> : <FabricMap />}
        </section>
        <section class="side" aria-label={host === null ? "Hosts" : `Host ${host}`}>
          {host === null ? <HostList /> : <Details />}
        </section>
        <section class="events" aria-label="Events">
          <EventList />
        </section>
        <section class="problems" aria-label="Conflicts and problems">
          <Problems />
        </section>
      </main>
      <Timeline />
    </>
  );
}

/** Shortcuts that do not get in the way of typing; the hint at the timeline names them. */
function onKey(event: KeyboardEvent): void {
  const { target } = event;
  if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") show({ host: null });
  else if (event.key === "l") show({ at: null });
  else if (event.key === "/") {
    event.preventDefault();
    show({ host: null });
    queueMicrotask(() => document.getElementById("find")?.focus());
  } else if (event.key === "[" || event.key === "]") step(event.key === "]" ? 1 : -1);
}

function step(by: 1 | -1): void {
  const seq = state.peek()?.seq;
  if (seq !== undefined) show({ at: Math.max(0, seq + by) }, "replace");
}
