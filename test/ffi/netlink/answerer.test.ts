// The answering thread's binding: without a library that fits, the event loop answers, and says
// why.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { makeNetns, requireRoot } from "../../support/netns.ts";

const KERNEL = join(import.meta.dir, "../../../src/reconcilers/kernel-netlink.ts");

/** Who answers in a process of its own that finds this library. */
async function pathWith(library: string): Promise<unknown> {
  using netns = makeNetns();
  const script = `
    const { NetlinkKernel } = await import(${JSON.stringify(KERNEL)});
    const kernel = new NetlinkKernel({ netns: null });
    const nothing = () => undefined;
    const watcher = { onMiss: nothing, onAnswered: nothing, onGap: nothing };
    const watch = kernel.misses().watchMisses(watcher);
    console.log(JSON.stringify(watch.path));
    watch.close();
    kernel.close();
    process.exit(0);`;
  const child = netns.spawn(["env", `HEDDLE_NATIVE=${library}`, process.execPath, "-e", script]);
  return JSON.parse(await new Response(child.stdout).text());
}

describe.skipIf(!requireRoot("the answering thread's library"))("who answers", () => {
  test("a thread, before all ordinary ones", async () => {
    expect(await pathWith("/nowhere")).toEqual({ by: "thread", realtime: true });
  });

  test("the event loop when the library cannot be loaded, or is an older one", async () => {
    expect(await pathWith("/etc/hostname")).toMatchObject({
      by: "event-loop",
      reason: expect.stringMatching(/hostname/),
    });
    expect(await pathWith("/lib/x86_64-linux-gnu/libc.so.6")).toMatchObject({
      by: "event-loop",
      reason: expect.stringMatching(/hm_layout/),
    });
  });
});
