// Talking to the agent of this host over its unix socket.

import { accessSync, constants, existsSync } from "node:fs";
import { EXIT_FAILED, EXIT_UNREACHABLE, Failure } from "./failure.ts";

const TIMEOUT_MS = 5000;

/** The JSON answer. Throws Failure: nobody answers (3), or the agent says no (1). */
export async function askAgent<T>(
  socket: string,
  method: "GET" | "POST",
  path: string,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`http://agent${path}`, {
      unix: socket,
      method,
      signal: AbortSignal.timeout(timeoutMs),
    });
    body = await response.json();
  } catch (error) {
    const reason = reasonFor(error, socket);
    throw new Failure(EXIT_UNREACHABLE, `agent at ${socket} cannot be reached: ${reason}`, {
      cause: error,
    });
  }
  if (response.ok) return body as T;
  const detail = typeof body === "object" && body !== null && "detail" in body ? body.detail : null;
  throw new Failure(EXIT_FAILED, `agent: ${String(detail ?? response.status)}`);
}

function reasonFor(error: unknown, socket: string): string {
  if (error instanceof Error && error.name === "TimeoutError") return "it does not answer";
  if (error instanceof SyntaxError) return "who answers there is no agent";
  if (!existsSync(socket)) return "is it running?";
  try {
    accessSync(socket, constants.W_OK);
  } catch {
    return "permission denied"; // Only its owner may talk to it.
  }
  return "nobody answers there";
}
