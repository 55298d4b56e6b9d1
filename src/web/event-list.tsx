// The log as a timeline, newest first, each event in its place: a row is a sequence. Choosing one
// shows the network right after it.

import { useEffect } from "preact/hooks";
import type { Draft, EventType } from "../events/event.ts";
import { summaryOf } from "../events/summary.ts";
import { type EventRow, type Filtered, hasRoom } from "./event-pages.ts";
import {
  chosenTypes,
  events,
  eventsLoaded,
  filtered,
  head,
  loadOlder,
  show,
  shownSeq,
} from "./store.ts";
import { clockTime, shortTime } from "./time.ts";
import { VirtualList } from "./virtual-list.tsx";

const ROW_HEIGHT = 30;

/** Written out, because the schemas would be most of the page; the compiler misses none of them. */
const TYPES = Object.keys({
  FabricConfigured: true,
  NodeJoined: true,
  NodeUpdated: true,
  NodeLeft: true,
  LeaseClaimed: true,
  LeaseRenewed: true,
  LeaseReleased: true,
  LeaseExpired: true,
  LeaseReserved: true,
  LeaseRevoked: true,
  PeerAdded: true,
  PeerRemoved: true,
  NeighborMissed: true,
  NeighborAged: true,
  DriftHealed: true,
  HostDegraded: true,
  HostRecovered: true,
  HostFrozen: true,
  TokenCreated: true,
  TokenRevoked: true,
  WebhookAdded: true,
  WebhookRemoved: true,
} satisfies Record<EventType, true>);

export function EventList() {
  const types = chosenTypes.value;
  return (
    <>
      <h2>
        Events{" "}
        <span class="hint">
          {types === "" ? `${head.value} in the log` : found(filtered.value)}, newest first
        </span>
        <select
          aria-label="Type of events"
          value={types}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            show({ types: chosen.split(" ").filter(Boolean) });
          }}
        >
          <option value="">all types</option>
          {/* Several come by the address; the list offers one at a time. */}
          {types.includes(" ") && <option value={types}>{types.replaceAll(" ", ", ")}</option>}
          {TYPES.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </h2>
      {types === "" ? <WholeLog /> : <Chosen />}
    </>
  );
}

/** A row is a sequence, so any place of the log can be scrolled to without loading what is between. */
function WholeLog() {
  const at = shownSeq.value;
  const newest = head.value;
  // Read so that rows are drawn again when their page has come.
  void eventsLoaded.value;
  return (
    <VirtualList
      label="Events, newest first"
      total={newest}
      rowHeight={ROW_HEIGHT}
      reveal={at === null || at === 0 ? null : newest - at}
      row={(index) => {
        const seq = newest - index;
        return <EventLine seq={seq} event={events.at(seq)} shown={seq === at} />;
      }}
    />
  );
}

function Chosen() {
  const at = shownSeq.value;
  const list = filtered.value;
  const rows = list?.rows ?? [];
  const more = list !== null && hasRoom(list);
  return (
    <VirtualList
      label="Events of the types chosen, newest first"
      total={rows.length + (more ? 1 : 0)}
      rowHeight={ROW_HEIGHT}
      row={(index) => {
        const event = rows[rows.length - 1 - index];
        if (event === undefined) return <Older list={list} />;
        return <EventLine seq={event.seq} event={event} shown={event.seq === at} />;
      }}
    />
  );
}

/** The end of the list, from where it goes on when it comes into sight. */
function Older({ list }: { readonly list: Filtered | null }) {
  useEffect(() => void loadOlder(), [list]);
  return <span class="hint">older ones …</span>;
}

function found(list: Filtered | null): string {
  if (list === null) return "looking";
  return list.older === null ? `${list.rows.length} of them` : `the last ${list.rows.length}`;
}

interface EventLineProps {
  readonly seq: number;
  /** Undefined until its page has come. */
  readonly event: EventRow | undefined;
  readonly shown: boolean;
}

function EventLine({ seq, event, shown }: EventLineProps) {
  const refused = event !== undefined && event.verdict.kind !== "accepted";
  return (
    <button
      type="button"
      class={`event ${refused ? "refused" : ""}`}
      aria-current={shown ? "true" : undefined}
      title={event === undefined ? undefined : titleOf(event)}
      onClick={() => show({ at: seq })}
    >
      <span class="seq">{seq}</span>
      {event === undefined ? (
        <span class="hint">…</span>
      ) : (
        <>
          <time class="hint" dateTime={event.time}>
            {shortTime(event.time)}
          </time>
          <span class="type">{event.type ?? "unreadable"}</span>
          <span class="who">{writerOf(event.subject)}</span>
          <span class="what">
            {refused && <b>{event.verdict.kind}: </b>}
            {refused ? event.verdict.reason : wordsOf(event)}
          </span>
        </>
      )}
    </button>
  );
}

function titleOf(event: EventRow): string {
  return `${clockTime(event.time)}\n${event.subject}\n${JSON.stringify(event.data, null, 1)}`;
}

function wordsOf(event: EventRow): string {
  // The server has checked the data against the schema of its type.
  return event.type === null ? "" : summaryOf({ type: event.type, data: event.data } as Draft);
}

/** `heddle.<fabric>.node.<node>.lease` is written by the node, everything else by an operator. */
function writerOf(subject: string): string {
  const [, , kind, node] = subject.split(".");
  return kind === "node" ? (node ?? "?").replaceAll("_", ".") : (kind ?? "?");
}
