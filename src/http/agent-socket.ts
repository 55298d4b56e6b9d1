// Serves an agent's HTTP surface on a unix socket that only its owner can open.
//
// Invariant: a socket on which somebody answers is never taken over; one that nobody serves is
// what a killed process left behind, and is replaced.

import { chmodSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";

export interface SocketServer {
  readonly path: string;
  close(): Promise<void>;
}

/** One line: which path and why it cannot be served. */
export class SocketError extends Error {
  override readonly name = "SocketError";
}

interface Fetches {
  fetch(request: Request): Response | Promise<Response>;
}

const DIR_MODE = 0o700;
const FILE_MODE = 0o600;
/** sun_path of unix(7) holds 108 bytes, the last of them zero. */
const PATH_BYTES_MAX = 107;

/** Throws SocketError. */
export async function serveAgentSocket(app: Fetches, path: string): Promise<SocketServer> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new SocketError(`socket ${path}: longer than ${PATH_BYTES_MAX} bytes`);
  }
  try {
    // Only a directory made here gets the mode: /run/heddle, not somebody's /tmp.
    mkdirSync(dirname(path), { recursive: true, mode: DIR_MODE });
    await removeStale(path);
    const server = listen(app, path);
    return { path, close: () => server.stop(true) };
  } catch (error) {
    if (error instanceof SocketError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new SocketError(`socket ${path}: ${reason}`, { cause: error });
  }
}

function listen(app: Fetches, path: string): ReturnType<typeof Bun.serve> {
  // Between bind and chmod the file would be open to all; the mask closes that moment.
  const mask = process.umask(0o177);
  try {
    const server = Bun.serve({ unix: path, fetch: (request) => app.fetch(request) });
    chmodSync(path, FILE_MODE);
    return server;
  } finally {
    process.umask(mask);
  }
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new SocketError(`socket ${path}: a file that is no socket is there`);
  if (await answers(path)) throw new SocketError(`socket ${path}: another agent answers there`);
  unlinkSync(path);
}

/** Bun's own sockets: to load node's costs each start 2 ms. */
async function answers(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data: () => undefined } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}
