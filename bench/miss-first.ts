// The first packet to a peer that was never talked to: entries on demand beside proactive ones, in
// one interleaved run. Two hosts of the same kind, each with 200 peers, one container each; a ping
// to a fresh peer on one, then on the other, and so on. The round trip is the one that ping prints.
// One end only: the other end has its way back. Reach: p50 + 0.1 ms, p99 + 1 ms, none lost.
//
//   bench/miss-first.ts [busy]        with both cores kept busy by others

import { Everyone } from "../test/support/everyone.ts";
import { until } from "../test/support/fabric.ts";
import { machine, quantile, table, write } from "./support.ts";

const PEERS = 200;
const ROUNDS = 3;
const CORES = navigator.hardwareConcurrency;
const isBusy = process.argv[2] === "busy";

interface Measured {
  readonly name: string;
  readonly first: number[];
  readonly again: number[];
  lost: number;
}

const measured: readonly Measured[] = ["proactive", "on-miss"].map((name) => ({
  name,
  first: [],
  again: [],
  lost: 0,
}));
for (let round = 0; round < ROUNDS; round++) await run();

machine();
write(isBusy ? `${CORES} programs that never rest beside it` : "idle otherwise");
table(
  ["mode", "first packets", "lost", "first p50 ms", "first p99 ms", "second p50 ms"],
  measured.map(({ name, first, again, lost }) => [
    ...[name, first.length + lost, lost],
    ...[quantile(first, 0.5), quantile(first, 0.99), quantile(again, 0.5)].map(three),
  ]),
);

async function run(): Promise<void> {
  const hosts = measured.map(({ name }) => {
    const Backend = { Type: "vxlan", Mode: name };
    return new Everyone({ config: { Network: "10.0.0.0/8", SubnetLen: 24, Backend } });
  });
  const busy: Bun.Subprocess[] = [];
  try {
    for (const host of hosts) {
      await host.populate(PEERS);
      const agent = await host.start();
      host.attach();
      await until("answers are prepared", 4000, () => agent.status().misses?.path !== null);
    }
    const last = PEERS + 1;
    // The container's own neighbours, and the code that answers, are warm.
    for (const host of hosts) await host.pingEach([host.address(last)]);
    for (let i = 0; isBusy && i < CORES; i++) {
      busy.push(Bun.spawn(["sh", "-c", "while :; do :; done"]));
    }
    await pingAll(hosts, last - 1);
  } finally {
    for (const child of busy) child.kill("SIGKILL");
    for (const host of hosts) await host.close();
  }
}

/** All in one shell: this process has nothing to do but to answer. */
async function pingAll(hosts: readonly Everyone[], last: number): Promise<void> {
  const lines: string[] = [];
  for (let peer = 2; peer <= last; peer++) {
    hosts.forEach((host, i) => {
      const inside = `nsenter --net=${host.container.path} ping -n -i0.01 -W4`;
      lines.push(`echo ${i}; ${inside} -c2 ${host.address(peer)}`);
    });
  }
  const shell = Bun.spawn(["sh"], { stdin: new Blob([lines.join("\n")]), stdout: "pipe" });
  const text = await new Response(shell.stdout).text();
  for (const part of text.split(/^(?=[01]$)/m)) {
    const of = measured[Number(part[0])];
    const first = /icmp_seq=1 .*time=([\d.]+)/.exec(part)?.[1];
    const second = /icmp_seq=2 .*time=([\d.]+)/.exec(part)?.[1];
    if (of === undefined) continue;
    if (first === undefined) of.lost++;
    else of.first.push(Number(first));
    if (second !== undefined) of.again.push(Number(second));
  }
}

function three(ms: number): string {
  return ms.toFixed(3);
}
