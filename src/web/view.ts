// What the page shows, as its address: a link that is shared opens the same moment and host.

export interface View {
  /** Sequence of the moment shown; null follows the log. */
  readonly at: number | null;
  readonly host: string | null;
  /** Event types listed; empty for all. */
  readonly types: readonly string[];
  /** Text that a listed host's name or address contains. */
  readonly find: string;
}

export function parseView(search: string): View {
  const query = new URLSearchParams(search);
  return {
    at: sequence(query.get("at")),
    host: query.get("host") || null,
    types: query.getAll("type").filter((type) => type !== ""),
    find: query.get("find") ?? "",
  };
}

/** `?at=1234&host=h2`, or the empty text for the view that a bare address opens. */
export function formatView({ at, host, types, find }: View): string {
  const query = new URLSearchParams();
  if (at !== null) query.set("at", String(at));
  if (host !== null) query.set("host", host);
  for (const type of types) query.append("type", type);
  if (find !== "") query.set("find", find);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

function sequence(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
