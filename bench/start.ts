// From the start of an agent's process to ready, for a host that holds a lease: the pause of every
// restart and upgrade. Three hosts on the real kernel and a real nats-server; one is restarted
// again and again, by kill -9 and by SIGTERM in turn. Reach: 200 ms.

import { TestFabric } from "../test/support/fabric.ts";
import { machine, quantile, table } from "./support.ts";

const ROUNDS = 20;
const fabric = await TestFabric.create({ hosts: 3 });
try {
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
  const names = ["h1", "h2", "h3"];
  for (const name of names) fabric.start(name);
  await fabric.ready(names, 2);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await fabric.end("h1", round % 2 === 0 ? "SIGKILL" : "SIGTERM");
    const startMs = performance.now();
    fabric.start("h1");
    await fabric.ready(["h1"], 2);
    times.push(performance.now() - startMs);
  }
  machine();
  table(
    ["measure", "runs", "p50 ms", "p99 ms", "reach"],
    [["process start to ready", ROUNDS, quantile(times, 0.5), quantile(times, 0.99), "200 ms"]],
  );
} finally {
  await fabric.close();
}
