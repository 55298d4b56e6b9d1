// The test runner's own rules: what is selected, how a run is counted, what counts as left behind.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { leftovers, noteOthers, processesOf, RUN_VARIABLE } from "../../scripts/test-leftovers.ts";
import { closingLine, tally } from "../../scripts/test-summary.ts";
import { select, tierOf } from "../../scripts/test-tiers.ts";
import { run as command, Netns, requireRoot } from "../support/netns.ts";

const ALL = [
  "test/events/fold.test.ts",
  "test/tidy.test.ts",
  "test/sim/sim.test.ts",
  "test/netns/vxlan.test.ts",
  "test/e2e/join.test.ts",
];

const summary = (pass: number, fail: number, files: number): string =>
  ` ${pass} pass\n 2 skip\n 1 todo\n ${fail} fail\n` +
  `Ran ${pass + fail + 3} tests across ${files} files. [1ms]\n`;

describe("selection", () => {
  test("every file belongs to exactly one tier, unit if to no other", () => {
    expect(ALL.map(tierOf)).toEqual(["unit", "unit", "sim", "netns", "e2e"]);
    expect(tierOf("test/e2e/many.test.ts")).toBe("alone");
    expect(tierOf("test/netns/many.test.ts")).toBe("netns");
    expect([...select([], ALL).files.values()].flat().toSorted()).toEqual(ALL.toSorted());
  });

  test("a tier, a path and options narrow it", () => {
    expect([...select(["unit"], ALL).files]).toEqual([["unit", ALL.slice(0, 2)]]);
    expect([...select(["./test/netns/vxlan.test.ts"], ALL).files.keys()]).toEqual(["netns"]);
    expect(select(["fold", "-t", "unit"], ALL).options).toEqual(["-t", "unit"]);
    expect([...select(["fold", "-t", "unit"], ALL).files.values()].flat()).toHaveLength(1);
  });

  test("a word that matches nothing is named", () => {
    expect(select(["unit", "nothing"], ALL).unknown).toEqual(["nothing"]);
  });
});

describe("counting", () => {
  const good = { exitCode: 0, timedOut: false, files: 2 };

  test("skips, and passes that say they could not check, are skipped", () => {
    const declared = `${"SKIPPED: no vxlan\n".repeat(3)}${summary(5, 0, 2)}`;
    expect(closingLine(tally({ ...good, output: declared }))).toBe("5 passed, 0 failed, 3 skipped");
    const result = tally({ ...good, output: `SKIPPED: no ipip\n${declared}` });
    expect(closingLine(result)).toBe("4 passed, 0 failed, 4 skipped");
    expect(result.reasons).toEqual(["no ipip", "no vxlan"]);
  });

  test("a bad exit code is a failure even if the summary says none", () => {
    expect(tally({ ...good, exitCode: 1, output: summary(5, 0, 2) }).failed).toBe(1);
    expect(tally({ ...good, exitCode: 1, output: summary(5, 2, 2) }).failed).toBe(2);
  });

  test("a file that did not run, a hang and a crash without summary are failures", () => {
    expect(tally({ ...good, output: summary(5, 0, 1) }).failed).toBe(1);
    expect(tally({ ...good, exitCode: null, timedOut: true, output: "" }).failed).toBe(1);
    expect(tally({ ...good, exitCode: null, output: "" }).failed).toBeGreaterThan(0);
  });

  test("colours do not hide a number", () => {
    const output = summary(5, 1, 2).replace(" 1 fail", "\u001b[31m 1 fail\u001b[0m");
    expect(tally({ ...good, exitCode: 1, output }).failed).toBe(1);
  });

  // The counts are read from what Bun prints, so the real output is part of the contract.
  test.each([
    ["one passing test", "the loop is a shell", /^1 passed, 0 failed, 0 skipped$/, 0],
    ["no test at all", "no such test", /^0 passed, [1-9]\d* failed, \d+ skipped$/, 1],
  ])("a run with %s ends with its line and exit code", async (_, name, line, exitCode) => {
    const runner = join(import.meta.dir, "../../scripts/test.ts");
    const words = ["test/support/tidy-checkers", "-t", name];
    const options = { stdout: "pipe", stderr: "pipe" } as const;
    const child = Bun.spawn([process.execPath, runner, ...words], options);
    const out = await new Response(child.stdout).text();
    expect(out.trimEnd().split("\n").at(-1)).toMatch(line);
    expect(await child.exited).toBe(exitCode);
  });
});

describe("leftovers", () => {
  test("a process with the mark of this run is named, one of another run is not", async () => {
    const run = `test-${process.pid}`;
    const env = { ...process.env, [RUN_VARIABLE]: run };
    const child = Bun.spawn(["sleep", "60"], { env });
    try {
      expect(processesOf(run).map(({ pid }) => pid)).toEqual([child.pid]);
      expect(processesOf(`${run}-other`)).toEqual([]);
      expect(await leftovers(run, new Set(), 0)).toContain(`process ${child.pid}: sleep 60`);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(processesOf(run)).toEqual([]);
  });

  test.skipIf(!requireRoot("namespaces of other runs"))(
    "a namespace that another run left is that run's, one of this run is named",
    async () => {
      const run = `test-${process.pid}`;
      const others = new Set<string>();
      const made = ["other", run].map((mark) => {
        const env = { ...process.env, [RUN_VARIABLE]: mark };
        const maker = Bun.spawn(["sleep", "60"], { env });
        return { maker, netns: new Netns(`hd-${maker.pid}-left`) };
      });
      try {
        for (const { netns } of made) command(["ip", "netns", "add", netns.name]);
        noteOthers(run, others);
        for (const { maker } of made) maker.kill("SIGKILL");
        for (const { maker } of made) await maker.exited;
        const found = (await leftovers(run, others, 0)).filter((line) => /-left$/.test(line));
        const [foreign, own] = made.map(({ netns }) => `network namespace ${netns.name}`);
        expect(found).toContain(own ?? "");
        expect(found).not.toContain(foreign ?? "");
      } finally {
        for (const { netns } of made) netns[Symbol.dispose]();
      }
    },
  );
});
