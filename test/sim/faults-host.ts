// Trouble with hosts and with those who run them: agents killed, stopped and started, files lost,
// old or damaged, kernels rebooted, underlays renumbered.

import type { FaultTable } from "./faults.ts";
import { putUnderlay } from "./foreign.ts";
import type { Host } from "./host.ts";
import type { Prng } from "./prng.ts";
import type { World } from "./world.ts";

function anyHost(world: World, random: Prng): Host {
  const host = random.oneOf(world.hosts);
  if (host === null) throw new Error("a world without hosts");
  return host;
}

function stopFor(world: World, host: Host, ms: number): void {
  host.wanted = false;
  world.clock.after(ms, () => {
    host.wanted = true;
    host.start();
  });
}

/** Numbers that no host has used yet, or two would clash over what an earlier one announced. */
const renumbered = new WeakMap<World, number>();

export const hostFaults: FaultTable = {
  kill(world, random) {
    const host = anyHost(world, random);
    host.process?.kill();
    return host.node;
  },
  crashBetweenOps(world, random) {
    const host = anyHost(world, random);
    const ops = random.int(1, 6);
    host.process?.kernel.crashAfter(ops);
    return `${host.node} in ${ops} ops`;
  },
  stop(world, random) {
    const host = anyHost(world, random);
    const { agent } = host.process ?? { agent: null };
    if (agent === null) return null;
    stopFor(world, host, random.int(10, 5000));
    const leaves = random.chance(0.3);
    // What cannot be said to the log is for the operator to know, who stops the agent all the same.
    const left = leaves ? agent.leave("asked to").catch(() => undefined) : Promise.resolve();
    void left.then(() => agent.stop());
    return `${host.node}${leaves ? " leaves" : ""}`;
  },
  longStop(world, random) {
    const host = anyHost(world, random);
    stopFor(world, host, random.int(1000, world.ttlSeconds * 3000));
    host.process?.kill();
    return host.node;
  },
  files(world, random) {
    const host = anyHost(world, random);
    const what = random.pick(["lost", "damaged", "no subnet.env", "other subnet.env"]);
    const { snapshot } = host.files;
    if (what === "lost") host.files.snapshot = null;
    if (what === "damaged") host.files.snapshot = `${snapshot?.slice(0, 200)}`;
    if (what === "no subnet.env") host.files.subnetEnv = null;
    if (what === "other subnet.env") host.files.subnetEnv = "FLANNEL_MTU=1\n";
    return `${host.node} ${what}`;
  },
  disk(world, random) {
    const host = anyHost(world, random);
    host.files.broken = !host.files.broken;
    return `${host.node} ${host.files.broken ? "broken" : "well"}`;
  },
  oldSnapshot(world, random) {
    const host = anyHost(world, random);
    const { snapshot } = host.files;
    const ms = random.int(500, 8000);
    world.clock.after(ms, () => {
      if (world.calm) return;
      host.process?.kill();
      host.files.snapshot = snapshot;
    });
    return `${host.node} in ${ms} ms`;
  },
  reboot(world, random) {
    const host = anyHost(world, random);
    host.reboot();
    return host.node;
  },
  renumber(world, random) {
    const host = anyHost(world, random);
    const number = (renumbered.get(world) ?? 100) + 1;
    renumbered.set(world, number);
    if (number > 250) return null;
    const { ipv4, ipv6, mtu } = host.underlay;
    host.foreign.remove("addr", `eth0 ${ipv4}/24`);
    host.foreign.remove("addr", `eth0 ${ipv6}/64`);
    host.underlay = { ipv4: `198.18.0.${number}`, ipv6: `2001:db8::1:${number}`, mtu };
    putUnderlay(host.foreign, host.underlay);
    return `${host.node} is ${host.underlay.ipv4}`;
  },
  underlayMtu(world, random) {
    const host = anyHost(world, random);
    host.underlay = { ...host.underlay, mtu: random.pick([1400, 1500, 9000]) };
    putUnderlay(host.foreign, host.underlay);
    return `${host.node} ${host.underlay.mtu}`;
  },
};

/** Every host is to run, on a disk that works. */
export function healHosts(world: World): void {
  for (const host of world.hosts) {
    host.files.broken = false;
    host.wanted = true;
    host.start();
  }
}
