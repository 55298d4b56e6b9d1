// A nats-server with JetStream as a child process: for a small fabric whose log lives on one of its
// hosts, for the demo and for tests. It owns the child and its configuration file, not the store.
//
// Invariant: the server never outlives this process, not even after kill -9; a log without its
// agent would hold the port and the store against the next one.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAtLeast } from "../events/nats-version.ts";

export interface NatsServerOptions {
  /** Kept across restarts; made when absent. */
  readonly storeDir: string;
  /** `HOST:PORT`; port -1 lets the server choose. */
  readonly listen?: string;
  /** Command that execs the server elsewhere, e.g. `nsenter --net=…` for a network namespace. */
  readonly enter?: readonly string[];
  /** More of the server's own configuration: users, TLS. */
  readonly extraConfig?: string;
}

export interface NatsServer {
  readonly url: string;
  readonly pid: number;
  readonly version: string;
  /** Resolves when the process is gone, however it ended, with what it said last. */
  readonly exited: Promise<{ readonly code: number | null; readonly lastLine: string }>;
  stop(): Promise<void>;
}

/** One line: what failed and the server's own reason. */
export class NatsServerError extends Error {
  override readonly name = "NatsServerError";
}

/** Debian installs it where a user's PATH does not look. */
const SEARCH_PATH = "/usr/sbin:/usr/local/sbin:/usr/local/bin";
const READY = "Server is ready";
/** It reads its store first: a large one, or beside other work, takes tens of seconds. */
const READY_MS = 60_000;
const STOP_MS = 5000;
const PORTS_POLL_MS = 2;

/** Resolves when the server accepts clients and JetStream answers. Throws NatsServerError. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const program = find("nats-server", "nats-server");
  const setpriv = find("setpriv", "util-linux");
  const version = versionOf(program);
  const dir = await mkdtemp(join(tmpdir(), "heddle-nats-"));
  const config = join(dir, "server.conf");
  await writeFile(config, configText(options, dir, version));
  const command = [...(options.enter ?? []), program, "-c", config];
  const child = Bun.spawn([setpriv, "--pdeathsig", "TERM", ...command], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const log = new ServerLog(child.stderr);
  const exited = child.exited.then(async () => {
    await log.ended;
    await rm(dir, { recursive: true, force: true });
    return { code: child.exitCode, lastLine: log.reason() };
  });
  try {
    const url = await ready(child, log, exited, dir);
    // Read by now, both ways; what is gone cannot be left behind when this process is killed.
    await rm(dir, { recursive: true, force: true });
    return { url, pid: child.pid, version, exited, stop: () => stop(child, exited) };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw error;
  }
}

function find(program: string, from: string): string {
  const path = Bun.which(program, { PATH: `${process.env.PATH ?? ""}:${SEARCH_PATH}` });
  if (path === null) {
    throw new NatsServerError(`${program} is not installed: install the package "${from}"`);
  }
  return path;
}

function versionOf(program: string): string {
  const text = Bun.spawnSync([program, "--version"]).stdout.toString();
  return /v(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? "0.0.0";
}

function configText(options: NatsServerOptions, dir: string, version: string): string {
  // Without it an acknowledged message is fsynced within two minutes. 2.9 knows no such setting and
  // syncs every minute. Costs 0.2 ms per append.
  const sync = isAtLeast(version, 2, 10) ? "sync_interval: always" : "";
  return [
    `listen: ${JSON.stringify(options.listen ?? "127.0.0.1:-1")}`,
    `ports_file_dir: ${JSON.stringify(dir)}`,
    `jetstream { store_dir: ${JSON.stringify(options.storeDir)}, ${sync} }`,
    options.extraConfig ?? "",
  ].join("\n");
}

type Child = Bun.Subprocess<"ignore", "ignore", "pipe">;

async function ready(
  child: Child,
  log: ServerLog,
  exited: Promise<unknown>,
  dir: string,
): Promise<string> {
  const gone = exited.then(() => {
    throw new NatsServerError(`nats-server did not start: ${log.reason()}`);
  });
  const late = Promise.withResolvers<never>();
  const over = new AbortController();
  const timer = setTimeout(() => {
    late.reject(new NatsServerError(`nats-server is not ready after ${READY_MS / 1000} s`));
  }, READY_MS);
  try {
    // The server starts JetStream before it listens, so a client that connects finds it.
    await Promise.race([log.ready, gone, late.promise]);
    return await Promise.race([clientUrl(dir, child.pid, over.signal), gone, late.promise]);
  } finally {
    over.abort();
    clearTimeout(timer);
    gone.catch(() => undefined);
  }
}

/** "" once `signal` aborts: nobody asks any more. */
async function clientUrl(dir: string, pid: number, signal: AbortSignal): Promise<string> {
  const path = join(dir, `nats-server_${pid}.ports`);
  while (!signal.aborted) {
    const ports = await readFile(path, "utf8").catch(() => "");
    const url = /"((?:nats|tls):\/\/[^"]+)"/.exec(ports)?.[1];
    if (url !== undefined) return url;
    await Bun.sleep(PORTS_POLL_MS);
  }
  return "";
}

async function stop(child: Child, exited: Promise<unknown>): Promise<void> {
  child.kill("SIGTERM");
  // A stopped or hung process does not see SIGTERM.
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exited;
  clearTimeout(timer);
}

/**
 * Reads the server's log as it comes, so that the pipe never fills, and keeps what explains an end.
 */
class ServerLog {
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  #fatal = "";
  #last = "";
  readonly #markReady: () => void;

  constructor(stderr: ReadableStream<Uint8Array>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#markReady = resolve;
    this.ended = this.#drain(stderr);
  }

  reason(): string {
    return this.#fatal || this.#last || "no message";
  }

  async #drain(stderr: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stderr) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    }
    if (rest !== "") this.#take(rest);
  }

  #take(line: string): void {
    if (line.includes(READY)) this.#markReady();
    // "[4711] 2026/01/31 12:00:00.000000 [FTL] text"
    const [, level, text] = /\[([A-Z]{3})\] (.*)$/.exec(line) ?? [null, "", line];
    if (text === undefined || text === "") return;
    this.#last = text;
    if (this.#fatal === "" && (level === "FTL" || level === "ERR")) this.#fatal = text;
  }
}
