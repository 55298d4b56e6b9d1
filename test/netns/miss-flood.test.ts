// A flood of questions about addresses that nobody owns: the thread that answers may hold a core
// before all ordinary programs for a tenth of the time, and goes on to answer.

import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import type { Answered, Miss } from "../../src/reconcilers/miss.ts";
import { until } from "../support/fabric.ts";
import { dev, hostOps, route, set } from "../support/kernel-objects.ts";
import { joinByVeth, makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import { nativeTool } from "../support/tunnel-build.ts";

const root = requireRoot("a flood of questions");
const SECONDS = 20;
/** sched(7) */
const SCHED_FIFO = "1";
const GATEWAY = "10.5.7.0";

interface Thread {
  /** CPU time until now. */
  readonly cpuMs: () => number;
  /** Whether it runs before ordinary threads. */
  readonly isAhead: () => boolean;
}

/** For a second: what it took of a core, and for which part of the time it came first. */
function look(thread: Thread): { readonly share: number; readonly ahead: number } {
  const [startMs, before] = [performance.now(), thread.cpuMs()];
  let [looks, ahead] = [0, 0];
  while (performance.now() < startMs + 1000) {
    looks++;
    if (thread.isAhead()) ahead++;
  }
  const share = (thread.cpuMs() - before) / (performance.now() - startMs);
  return { share, ahead: ahead / looks };
}

function answeringThread(): Thread {
  const tasks = readdirSync("/proc/self/task").map((tid) => `/proc/self/task/${tid}`);
  const path = tasks.find((task) => readFileSync(`${task}/comm`, "utf8") === "heddle-answer\n");
  if (path === undefined) throw new Error("no thread answers");
  // From the third field on (proc_pid_stat(5)).
  const stat = (field: number): string => {
    const text = readFileSync(`${path}/stat`, "utf8");
    return text.slice(text.indexOf(") ") + 2).split(" ")[field - 3] ?? "";
  };
  return {
    cpuMs: () => (Number(stat(14)) + Number(stat(15))) * 10,
    isAhead: () => stat(41) === SCHED_FIFO,
  };
}

describe.skipIf(!root)("a flood of questions", () => {
  let netns: Netns;
  let far: Netns;
  let kernel: NetlinkKernel;
  afterEach(() => {
    kernel.close();
    for (const each of [netns, far]) each[Symbol.dispose]();
  });

  async function given() {
    [netns, far] = [makeNetns(), makeNetns()];
    kernel = new NetlinkKernel({ netns: netns.path });
    joinByVeth(
      { netns, dev: "eth0", addresses: ["198.18.0.1/24", "2001:db8::1/64"] },
      { netns: far, dev: "eth0", addresses: ["198.18.0.254/24"] },
    );
    const path = `net/ipv4/neigh/${dev}`;
    const ops = [
      ...hostOps,
      set("sysctl", { path: `${path}/app_solicit`, value: "3" }),
      set("sysctl", { path: `${path}/mcast_solicit`, value: "0" }),
      set("route", route(dev, "10.5.7.0/24", GATEWAY)),
    ];
    for (const outcome of await kernel.apply(ops)) expect(outcome).toEqual({ ok: true });
    const answered: Answered[] = [];
    const heard: Miss[] = [];
    const watch = kernel.misses().watchMisses({
      onMiss: (miss) => void heard.push(miss),
      onAnswered: (each) => void answered.push(each),
      onGap: () => undefined,
    });
    expect(watch.path).toEqual({ by: "thread", realtime: true });
    watch.prepare([{ ip: GATEWAY, to: { mac: "02:00:00:00:07:07", dst: "198.18.0.7" } }]);
    watch.serve([dev]);
    return { watch, answered, thread: answeringThread() };
  }

  async function flood() {
    const child = netns.spawn([nativeTool("ask"), dev, "10.9.0.0", "65536", `${SECONDS}`]);
    const lines = child.stdout.getReader();
    await lines.read();
    return child;
  }

  test("leaves the cores to others, and answers first packets all the same", async () => {
    const { watch, answered, thread } = await given();
    const asking = [await flood(), await flood()];
    let seen = look(thread);
    // Less of a flood tests nothing: the machine may be busy.
    while (seen.share < 0.2) seen = look(thread);
    expect(seen.share * seen.ahead).toBeLessThan(0.15);
    const packet = netns.spawn(["ping", "-n", "-q", "-c1", "-W1", "10.5.7.9"]);
    await until("an answer", 5000, () => answered.length === 1);
    await packet.exited;
    expect(answered).toMatchObject([{ dev, ip: GATEWAY, ok: true }]);
    for (const each of asking) {
      each.kill("SIGKILL");
      await each.exited;
    }
    await until("it is over", 5000, () => thread.isAhead());
    watch.close();
  });
});
