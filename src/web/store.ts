// What the page knows and shows, as signals; components read them, and only this file loads. The
// address of the page follows the view, so that any moment and host can be shared as a link.

import { batch, computed, effect, signal } from "@preact/signals";
import type { StateDocument } from "../events/state-document.ts";
import { ApiError, getJson, keepToken } from "./api.ts";
import {
  createEventPages,
  type EventPage,
  type EventRow,
  type Filtered,
  followedBy,
  hasRoom,
  precededBy,
} from "./event-pages.ts";
import { streamEvents } from "./event-stream.ts";
import { type HostProgress, hostRows } from "./hosts.ts";
import { createLatest } from "./latest.ts";
import { formatView, parseView, type View } from "./view.ts";

/** The live end is drawn again at most this often, however fast events come. */
const REDRAW_MS = 500;
const PROGRESS_MS = 2000;
const RETRY_MS = 1000;

const NOTHING: Filtered = { rows: [], older: null };

const view = signal<View>(parseView(location.search));
// One by one, so that what shows the host is not drawn again when the slider moves.
export const chosenAt = computed(() => view.value.at);
export const chosenHost = computed(() => view.value.host);
/** Names with a space between; empty for all. A text, so that the same types are not a change. */
export const chosenTypes = computed(() => view.value.types.join(" "));
export const searched = computed(() => view.value.find);
/** Sequence of the last record in the log that this page knows of. */
export const head = signal(0);
export const state = signal<(StateDocument & { readonly time: string | null }) | null>(null);
const progress = signal<ReadonlyMap<string, HostProgress>>(new Map());
/** Null, or why what is shown may be old. */
export const trouble = signal<string | null>(null);
export const needsToken = signal(false);
/** Counts up whenever a page of events has come. */
export const eventsLoaded = signal(0);

export const live = computed(() => chosenAt.value === null);
/**
 * The past moment that is really shown, or null: lists follow it and not the slider, which is ahead
 * of what has been loaded.
 */
export const shownSeq = computed(() => (live.value ? null : (state.value?.seq ?? null)));
export const rows = computed(() => {
  const shown = state.value;
  return shown === null ? [] : hostRows(shown, live.value ? progress.value : null);
});

export const events = createEventPages({
  load: async (from, count) =>
    (await getJson<{ events: EventRow[] }>(`/v1/events?from=${from}&limit=${count}`)).events,
  onChange: () => {
    eventsLoaded.value += 1;
  },
});

/** Null while they are looked for. */
export const filtered = signal<Filtered | null>(null);

const searches = createLatest<string, Filtered>({
  load: async (types) => precededBy(NOTHING, await loadTypes(types, null)),
  onLoaded: (found, types) => {
    const live = filtered.peek()?.rows ?? [];
    if (types === chosenTypes.peek()) filtered.value = followedBy(found, live);
  },
  onFailed: (error) => fail(error),
});

function loadTypes(types: string, to: number | null): Promise<EventPage> {
  const wanted = new URLSearchParams(types.split(" ").map((type) => ["type", type]));
  const end = to === null ? "" : `&to=${to}`;
  return getJson(`/v1/events?${wanted}${end}&order=desc&limit=1000`);
}

let loadingOlder = false;

/** To be called when the end of the list comes into sight. */
export async function loadOlder(): Promise<void> {
  const [types, list] = [chosenTypes.peek(), filtered.peek()];
  if (loadingOlder || list === null || !hasRoom(list)) return;
  loadingOlder = true;
  const page = await loadTypes(types, list.older).catch(async (error: unknown) => {
    fail(error);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    return null;
  });
  loadingOlder = false;
  const now = filtered.peek();
  if (now === null) return;
  const isSame = types === chosenTypes.peek() && now.older === list.older;
  // In any case it is drawn again, and asks again if its end is in sight still.
  filtered.value = page !== null && isSame ? precededBy(now, page) : { ...now };
}

const moments = createLatest<number | null, StateDocument & { readonly time: string | null }>({
  load: (at) => getJson(at === null ? "/v1/state" : `/v1/state?at=${at}`),
  onLoaded: (document, at) => {
    batch(() => {
      state.value = document;
      if (at === null) head.value = Math.max(head.value, document.seq);
      trouble.value = null;
      needsToken.value = false;
    });
  },
  onFailed: (error) => fail(error),
});

/** Changes what is shown; a moment that is being dragged through is not worth a step back to. */
export function show(change: Partial<View>, step: "push" | "replace" = "push"): void {
  const before = view.value;
  view.value = { ...before, ...change };
  const address = `${location.pathname}${formatView(view.value)}`;
  if (step === "push" && address !== `${location.pathname}${location.search}`) {
    history.pushState(null, "", address);
  } else history.replaceState(null, "", address);
}

export async function signIn(text: string): Promise<void> {
  keepToken(text);
  needsToken.value = false;
  await start();
}

export async function start(): Promise<void> {
  moments.want(view.peek().at);
  await loadHead();
  if (!needsToken.peek()) follow();
}

addEventListener("popstate", () => {
  view.value = parseView(location.search);
});

let started = false;

effect(() => {
  const at = chosenAt.value;
  if (started) moments.want(at);
});

effect(() => {
  const types = chosenTypes.value;
  filtered.value = null;
  if (types !== "" && started) searches.want(types);
});

/** One follower a page: a second sign-in ends the first. */
let following = new AbortController();

function follow(): void {
  started = true;
  const types = chosenTypes.peek();
  if (types !== "") searches.want(types);
  following.abort();
  following = new AbortController();
  const { signal: stop } = following;
  void streamEvents(head.peek(), stop, {
    onEvent: (event) => {
      events.add(event);
      head.value = event.seq;
      if (isChosen(event)) filtered.value = followedBy(filtered.peek() ?? NOTHING, [event]);
      redraw();
    },
    onTrouble: (reason) => {
      trouble.value = reason;
    },
  });
  void loadProgress();
  const timer = setInterval(() => void loadProgress(), PROGRESS_MS);
  stop.addEventListener("abort", () => clearInterval(timer));
}

function isChosen({ type }: EventRow): boolean {
  return type !== null && view.peek().types.includes(type);
}

let redrawing = false;

function redraw(): void {
  if (redrawing) return;
  redrawing = true;
  setTimeout(() => {
    redrawing = false;
    if (live.peek()) moments.want(null);
  }, REDRAW_MS);
}

async function loadHead(): Promise<void> {
  try {
    const { seq } = await getJson<{ seq: number }>("/v1/head");
    head.value = seq;
  } catch (error) {
    fail(error);
  }
}

async function loadProgress(): Promise<void> {
  if (document.hidden || !live.peek()) return;
  try {
    const hosts = await getJson<readonly HostProgress[]>("/v1/hosts");
    progress.value = new Map(hosts.map((host) => [host.node, host]));
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): void {
  if (error instanceof ApiError && error.status === 401) needsToken.value = true;
  trouble.value = error instanceof Error ? error.message : String(error);
}
