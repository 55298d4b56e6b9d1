// Rule tables through nft on the real kernel: any change by somebody else has to show.

import { describe, expect, test } from "bun:test";
import { keyOf } from "../../src/reconcilers/kernel-state.ts";
import { del, scope, set, table } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

const CHANGES = [
  ["a rule deleted", ["delete", "rule", "inet", table.name, "forward", "handle", "3"]],
  ["a rule added in front", ["insert", "rule", "inet", table.name, "forward", "drop"]],
  ["a chain flushed", ["flush", "chain", "inet", table.name, "postrouting"]],
  ["a chain added", ["add", "chain", "inet", table.name, "extra"]],
  ["a set added", ["add", "set", "inet", table.name, "s", "{ type ipv4_addr; }"]],
  ["another policy", ["chain", "inet", table.name, "forward", "{ policy drop; }"]],
  ["the table made dormant", ["add", "table", "inet", table.name, "{ flags dormant; }"]],
  ["the table deleted", ["delete", "table", "inet", table.name]],
] as const;

if (requireRoot("rule tables"))
  describe("rule tables", () => {
    const host = netlinkHost();
    const nft = (...args: string[]) => host.netns.exec(["nft", ...args]);
    const key = keyOf.rule(table);
    const tableOf = async () => (await host.kernel.observe(scope)).rules.get(key);

    test("an unchanged rule set is read once, a changed one again", async () => {
      await host.apply(set("rule", table));
      const first = await tableOf();
      expect(await tableOf()).toBe(first);
      nft("add", "table", "inet", "other");
      expect(await tableOf()).not.toBe(first);
      expect(await tableOf()).toEqual(first);
    });

    test("nft lists what was set, and other tables stay", async () => {
      nft("add", "table", "inet", "other");
      await host.apply(set("rule", table));
      const listed = JSON.parse(nft("-j", "list", "ruleset")) as {
        nftables: Record<string, unknown>[];
      };
      const count = (kind: string) => listed.nftables.filter((item) => kind in item).length;
      expect([count("table"), count("chain"), count("rule")]).toEqual([2, 2, 3]);
      await host.apply(del("rule", table));
      expect(nft("list", "tables").trim()).toBe("table inet other");
    });

    for (const [what, change] of CHANGES) {
      test(`${what} makes the table differ, and setting it puts it right`, async () => {
        await host.apply(set("rule", table));
        if (what === "a rule deleted") {
          expect(nft("-a", "list", "chain", "inet", table.name, "forward")).toContain("# handle 3");
        }
        nft(...change);
        expect(await tableOf()).not.toEqual(table);
        await host.apply(set("rule", table));
        expect(await tableOf()).toEqual(table);
      });
    }

    test("two rules in the other order make the table differ", async () => {
      const [forward, postrouting] = table.chains;
      if (forward === undefined || postrouting === undefined) throw new Error("two chains");
      const turned = { ...forward, rules: forward.rules.toReversed() };
      await host.apply(set("rule", { ...table, chains: [turned, postrouting] }));
      expect(await tableOf()).not.toEqual(table);
    });

    test("a refused table changes nothing and says why in one line", async () => {
      await host.apply(set("rule", table));
      const [chain] = table.chains;
      if (chain === undefined) throw new Error("a chain");
      const broken = { ...table, chains: [{ ...chain, rules: ["no such thing"] }] };
      const [outcome] = await host.kernel.apply([set("rule", broken)]);
      expect(outcome).toMatchObject({ ok: false, errno: 0 });
      expect(JSON.stringify(outcome)).toMatch(/nft: .*syntax error/);
      expect(await tableOf()).toEqual(table);
    });

    test("without nft, no table is found and setting one says what to install", async () => {
      const path = process.env.PATH;
      process.env.PATH = "/nonexistent";
      try {
        expect((await host.kernel.observe(scope)).rules.size).toBe(0);
        expect(await host.kernel.apply([set("rule", table)])).toEqual([
          { ok: false, errno: 0, message: "nft is not installed or not in PATH: install nftables" },
        ]);
      } finally {
        process.env.PATH = path;
      }
    });
  });
