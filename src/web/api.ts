// Requests to the server that served this page, with the token that the person gave. The token
// lives as long as the tab, and is in no address and no log.

const TOKEN_KEY = "heddle-token";

/** An answer that is not the one asked for; `message` is the server's own reason. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** 0 when there was no answer at all. */
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function token(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

export function keepToken(text: string | null): void {
  if (text === null) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, text);
}

/** Throws ApiError. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const bearer = token();
  if (bearer !== null) headers.set("authorization", `Bearer ${bearer}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "the server does not answer");
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await reasonOf(response));
}

/** Throws ApiError. The server's documents are trusted to have the shape its OpenAPI states. */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal === undefined ? {} : { signal });
  return (await response.json()) as T;
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text) as { detail?: string };
    if (detail !== undefined) return detail;
  } catch {
    // A proxy's own page: the status has to do.
  }
  return `${response.status} ${response.statusText}`.trim();
}
