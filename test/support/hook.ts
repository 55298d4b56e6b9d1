// The fabric's HTTP hook on port 0 over a real nats-server, in this process, with a token of each
// scope. Several of one log can be had with `another`. Everything is gone after `close`.

import type { Logger } from "../../src/agent/logger.ts";
import { originOf } from "../../src/events/checkpoint.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import type { TokenScope } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import type { HookApp } from "../../src/http/app.ts";
import { newSigner } from "../../src/http/audit-key.ts";
import { newToken } from "../../src/http/bearer.ts";
import type { HookDeps, HookWorld } from "../../src/http/deps.ts";
import { createHook } from "../../src/http/hook.ts";
import { serveTcp, type TcpServer } from "../../src/http/tcp-server.ts";
import { page } from "../../src/http/web-page.ts";
import type { WebhookWorld } from "../../src/http/webhook-sender.ts";
import { TestNats } from "./nats.ts";
import { realClock } from "./real-clock.ts";

export const FABRIC = "hook";
/** Of the first server, which signs the log's checkpoints. */
const SIGNER = newSigner(originOf(FABRIC)).key;

interface Server {
  readonly app: HookApp;
  readonly tcp: TcpServer;
  readonly deps: HookDeps;
}

export interface Asked {
  readonly method?: string;
  /** Sent as JSON, or as it is when it is a string. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Scope of the token to use; null sends none. */
  readonly as?: TokenScope | null;
}

export class TestHook {
  readonly nats: TestNats;
  readonly connection: LogConnection;
  /** Lines that the servers logged. */
  readonly logged: string[] = [];
  readonly #tokens = new Map<TokenScope, string>();
  readonly #servers: Server[] = [];
  readonly #stop = new AbortController();

  readonly #webhooks: Partial<WebhookWorld>;

  private constructor(
    nats: TestNats,
    connection: LogConnection,
    webhooks: Partial<WebhookWorld> = {},
  ) {
    this.#webhooks = webhooks;
    this.nats = nats;
    this.connection = connection;
  }

  /** With an empty log but for three tokens, named after their scopes. */
  static async start(
    options: { readonly extraConfig?: string; readonly webhooks?: Partial<WebhookWorld> } = {},
  ): Promise<TestHook> {
    const nats = await TestNats.start(options.extraConfig);
    const connection = await nats.connect(FABRIC);
    await connection.createStream(1);
    const hook = new TestHook(nats, connection, options.webhooks);
    for (const scope of ["read", "write", "admin"] as const) await hook.createToken(scope);
    await hook.another();
    return hook;
  }

  get url(): string {
    return this.#first.tcp.url;
  }

  get app(): HookApp {
    return this.#first.app;
  }

  get deps(): HookDeps {
    return this.#first.deps;
  }

  get #first(): Server {
    const [first] = this.#servers;
    if (first === undefined) throw new Error("no server runs");
    return first;
  }

  /** One more server over the same log. */
  async another(part: Partial<HookWorld> = {}, port = 0): Promise<Server> {
    const connection = await this.nats.connect(FABRIC);
    const { log, status: board, inquiry, foundInquiry } = connection;
    const { checkpoints, createCheckpoints } = connection;
    const hook = createHook({
      ...{ fabric: FABRIC, version: "test", log, board, inquiry, foundInquiry },
      ...{ checkpoints, createCheckpoints },
      key: this.#servers.length === 0 ? SIGNER : null,
      clock: realClock,
      wallMs: () => Date.now(),
      logger: this.#logger(),
      newId: () => crypto.randomUUID(),
      webhooks: { queue: connection.webhooks, keys: [], allow: [], ...this.#webhooks },
      ...part,
    });
    void hook.run(this.#stop.signal);
    const tcp = serveTcp(hook.app, { hostname: "127.0.0.1", port, page });
    const server = { ...hook, tcp };
    this.#servers.push(server);
    await hook.deps.follower.reached((await log.info()).lastSeq, 5000);
    return server;
  }

  /** The first server ends, and another begins on its port. */
  async restart(): Promise<void> {
    const { tcp } = this.#first;
    const port = Number(new URL(tcp.url).port);
    await tcp.close();
    this.#servers.shift();
    this.#servers.unshift(await this.another({}, port));
    this.#servers.pop();
  }

  /** Sequence of the event in the log. */
  async append(draft: Draft, id: string = crypto.randomUUID()): Promise<number> {
    const payload = encode(draft, id);
    const appended = await this.connection.log.append({
      ...{ subject: subjectOf(FABRIC, draft), payload, id },
    });
    if (!appended.ok) throw new Error(appended.reason);
    return appended.seq;
  }

  token(scope: TokenScope): string {
    return this.#tokens.get(scope) ?? "";
  }

  async createToken(scope: TokenScope): Promise<void> {
    const { text, hash } = newToken(scope);
    this.#tokens.set(scope, text);
    const data = { name: scope, hash, scopes: [scope], expiresAt: null };
    await this.append({ type: "TokenCreated", data });
  }

  /** Over the socket, of the first server unless `url` says otherwise. */
  async ask(path: string, asked: Asked = {}, url: string = this.url): Promise<Response> {
    const { method = "GET", body, headers = {}, as = "read" } = asked;
    const authorization = as === null ? {} : { authorization: `Bearer ${this.token(as)}` };
    const json = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const content = body === undefined ? {} : { "content-type": "application/json" };
    return await fetch(`${url}${path}`, {
      method,
      headers: { ...authorization, ...content, ...headers },
      ...(json === undefined ? {} : { body: json as string }),
    });
  }

  /** The body of an answer that must be 200. */
  async get<T>(path: string, asked: Asked = {}, url?: string): Promise<T> {
    const answer = await this.ask(path, asked, url);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#servers.map(({ tcp }) => tcp.close()));
    await this.nats.close();
  }

  #logger(): Logger {
    const say =
      (level: string): Logger["info"] =>
      (message, fields = {}) =>
        void this.logged.push(JSON.stringify({ level, message, ...fields }));
    return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
  }
}
