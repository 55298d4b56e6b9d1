// One host at the moment shown: who it is, its peers, and the commands that make its kernel what it
// should be.

import { FoundByHost } from "./found-by-host.tsx";
import { HEALTH_TEXT, type HostRow } from "./hosts.ts";
import { commands, plan } from "./plans.ts";
import { chosenHost, live, rows, show } from "./store.ts";
import { VirtualList } from "./virtual-list.tsx";

const PEER_HEIGHT = 28;

export function Details() {
  const host = chosenHost.value;
  const row = rows.value.find(({ name }) => name === host);
  return (
    <>
      <h2>
        {host}
        <button type="button" class="close" onClick={() => show({ host: null })}>
          All hosts
        </button>
      </h2>
      {row === undefined ? (
        <p class="hint">Not in the fabric at this moment.</p>
      ) : (
        <Host row={row} />
      )}
    </>
  );
}

function Host({ row }: { readonly row: HostRow }) {
  const wanted = plan.value;
  const peers = wanted?.peers ?? [];
  return (
    <div class="details">
      <p>
        <span class={`health ${row.health}`}>{HEALTH_TEXT[row.health]}</span>{" "}
        {row.subnets.join(" ") || "no lease"} at {row.publicIp ?? "no address"}, {row.backend}
        {live.value && row.applied !== null && `, applied sequence ${row.applied}`}
      </p>
      {[...row.problems, ...(wanted?.problems ?? [])].map((problem) => (
        <p key={problem} class="problem">
          {problem}
        </p>
      ))}
      <FoundByHost />
      <h3>
        Peers <span class="hint">{peers.length}</span>
      </h3>
      <VirtualList
        label={`Peers of ${row.name}`}
        total={peers.length}
        rowHeight={PEER_HEIGHT}
        row={(index) => {
          const peer = peers[index];
          if (peer === undefined) return null;
          return (
            <span class={`peer ${peer.error === null ? "" : "failed"}`} title={peer.error ?? ""}>
              <span class="name">{peer.node}</span>
              <span class="subnet">{peer.subnets.join(" ")}</span>
              <span class="hint">{peer.error ?? `${peer.path} to ${peer.publicIp ?? "?"}`}</span>
            </span>
          );
        }}
      />
      <h3>
        Its kernel should hold
        <button
          type="button"
          class="copy"
          onClick={() => void navigator.clipboard.writeText(commands.peek().join("\n"))}
        >
          Copy
        </button>
      </h3>
      <VirtualList
        label={`Commands for ${row.name}`}
        total={commands.value.length}
        rowHeight={20}
        row={(index) => <code>{commands.value[index]}</code>}
      />
    </div>
  );
}
