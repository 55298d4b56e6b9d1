// A kernel without the vxlan module, as cloud and container images have them: what an agent says,
// what doctor says, and that the module alone is what was missing.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { TestFabric, until } from "../support/fabric.ts";
import { requireMachine } from "../support/machine.ts";
import { run } from "../support/netns.ts";

setDefaultTimeout(300_000);

const DENIAL = "/etc/modprobe.d/no-vxlan.conf";
let fabric: TestFabric;

describe.skipIf(!requireMachine("no vxlan"))("a kernel without the module vxlan", () => {
  beforeEach(async () => {
    writeFileSync(DENIAL, "install vxlan /bin/false\n");
    run(["modprobe", "-r", "vxlan"]);
    fabric = await TestFabric.create({ hosts: 1 });
    await fabric.init({ Network: "10.5.0.0/16" });
  });

  afterEach(async () => {
    rmSync(DENIAL, { force: true });
    await fabric.close();
  });

  test("is named in one line, by the agent, the log and doctor; with it all is well", async () => {
    fabric.start("h1");
    await until("degraded", 60_000, async () => {
      const status = await fabric.status("h1");
      return status?.state === "degraded" && status.lease !== null;
    });
    const named = /link heddle\.1: EOPNOTSUPP: this kernel has no vxlan: modprobe vxlan; /;
    const problems = (await fabric.status("h1"))?.problems ?? [];
    expect(problems).toEqual([expect.stringMatching(named)]);
    await until("it is in the log", 20_000, () =>
      fabric.events().some(({ type, data }) => {
        return type === "HostDegraded" && named.test(JSON.stringify(data));
      }),
    );

    const { netns } = fabric.host("h1");
    const doctor = fabric.exec(netns, [...fabric.command("doctor", "h1"), "--json"]);
    expect(doctor.code).toBe(1);
    const checks = (JSON.parse(doctor.out) as { checks: { name: string }[] }).checks;
    const check = checks.find(({ name }) => name === "kernel-vxlan");
    expect(check).toMatchObject({
      result: "fail",
      advice: expect.stringMatching(/modprobe vxlan/),
    });

    rmSync(DENIAL);
    await fabric.ready(["h1"], 0, 60_000);
    const lines = (): string[] =>
      fabric
        .logs("h1")
        .split("\n")
        .filter((line) => named.test(line));
    await until("it is over in its log", 20_000, () => lines().length > 1);
    expect(lines()).toEqual([
      expect.stringContaining("problem "),
      expect.stringContaining("problem over"),
    ]);
  });
});
