// Every host of the moment, worst first, found by name, subnet or address.

import { findHosts, HEALTH_TEXT, type HostRow, worstFirst } from "./hosts.ts";
import { rows, searched, show } from "./store.ts";
import { VirtualList } from "./virtual-list.tsx";

const ROW_HEIGHT = 44;

export function HostList() {
  const find = searched.value;
  const found = worstFirst(findHosts(rows.value, find));
  return (
    <>
      <h2>
        <label for="find">Hosts</label> <span class="hint">{found.length}</span>
        <input
          id="find"
          type="search"
          placeholder="name, subnet or address"
          value={find}
          onInput={(event) => show({ find: event.currentTarget.value }, "replace")}
        />
      </h2>
      <VirtualList
        label="Hosts, worst first"
        total={found.length}
        rowHeight={ROW_HEIGHT}
        row={(index) => {
          const row = found[index];
          return row === undefined ? null : <HostLine row={row} />;
        }}
      />
    </>
  );
}

function HostLine({ row }: { readonly row: HostRow }) {
  return (
    <button type="button" class="host" onClick={() => show({ host: row.name })}>
      <span class={`dot ${row.health}`} aria-hidden="true" />
      <span class="name">{row.name}</span>
      <span class="subnet">{row.subnets.join(" ") || "no lease"}</span>
      <span class="hint">
        {HEALTH_TEXT[row.health]}
        {row.problems.length > 0 ? `: ${row.problems[0]}` : ` · ${row.publicIp ?? "no address"}`}
      </span>
    </button>
  );
}
