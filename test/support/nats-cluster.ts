// Three nats-servers of one cluster, on loopback, whose members the test may kill and start again.
// Nothing of it is left after `close`.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "../../src/agent/nats-server.ts";
import { connectLog, type LogConnection } from "../../src/events/log-jetstream.ts";

const MEMBERS = 3;

interface Member {
  readonly storeDir: string;
  readonly listen: string;
  readonly extraConfig: string;
  server: NatsServer;
}

export class TestCluster {
  readonly #dir: string;
  readonly #members: readonly Member[];
  readonly #connections: LogConnection[] = [];

  private constructor(dir: string, members: readonly Member[]) {
    this.#dir = dir;
    this.#members = members;
  }

  static async start(): Promise<TestCluster> {
    const dir = await mkdtemp(join(tmpdir(), "heddle-cluster-"));
    const addresses = freePorts(2 * MEMBERS).map((port) => `127.0.0.1:${port}`);
    const [listen, routed] = [addresses.slice(0, MEMBERS), addresses.slice(MEMBERS)];
    const routes = routed.map((address) => `nats-route://${address}`).join(", ");
    const plans = listen.map((address, index) => ({
      storeDir: join(dir, `n${index}`),
      listen: address,
      extraConfig: [
        `server_name: n${index}`,
        `cluster { name: test, listen: "${routed[index]}", routes: [ ${routes} ] }`,
      ].join("\n"),
    }));
    const members = await Promise.all(
      plans.map(async (plan) => ({ ...plan, server: await startNatsServer(plan) })),
    );
    return new TestCluster(dir, members);
  }

  get version(): string {
    return this.#members[0]?.server.version ?? "0.0.0";
  }

  /** Each member's URL: a client may be given one, or all. */
  get urls(): readonly string[] {
    return this.#members.map(({ server }) => server.url);
  }

  /** Closed with the cluster. */
  async connect(fabric: string, servers = this.urls): Promise<LogConnection> {
    const connection = await connectLog({ servers, fabric });
    this.#connections.push(connection);
    return connection;
  }

  /** `name` as JetStream calls the member: n0, n1, n2. */
  async kill9(name: string): Promise<void> {
    const { server } = this.#member(name);
    process.kill(server.pid, "SIGKILL");
    await server.exited;
  }

  async startAgain(name: string): Promise<void> {
    const member = this.#member(name);
    member.server = await startNatsServer(member);
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await Promise.all(this.#members.map(({ server }) => server.stop()));
    await rm(this.#dir, { recursive: true, force: true });
  }

  #member(name: string): Member {
    const member = this.#members[Number(name.slice(1))];
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }
}

/** The members must know each other's ports before any of them listens. */
function freePorts(count: number): number[] {
  const held = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } }),
  );
  const ports = held.map(({ port }) => port);
  for (const listener of held) listener.stop(true);
  return ports;
}
