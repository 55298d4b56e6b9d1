// Rule tables on the real kernel, read with nft: what we set is what nft would have set, and any
// change by somebody else has to show.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { BATCH } from "../../src/ffi/netlink/nftables.ts";
import type { Request } from "../../src/ffi/netlink/socket.ts";
import { replacement } from "../../src/reconcilers/kernel-netlink-rule.ts";
import { programOf, textOf } from "../../src/reconcilers/kernel-netlink-rule-text.ts";
import { keyOf, type RuleTable } from "../../src/reconcilers/kernel-state.ts";
import { rule, ruleTable } from "../../src/reconcilers/rule.ts";
import { del, scope, set, table } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

const CHANGES = [
  ["a rule deleted", ["delete", "rule", "inet", table.name, "forward", "handle", "3"]],
  ["a rule added in front", ["insert", "rule", "inet", table.name, "forward", "drop"]],
  ["a chain flushed", ["flush", "chain", "inet", table.name, "postrouting"]],
  ["a chain added", ["add", "chain", "inet", table.name, "extra"]],
  ["a comment", ["add", "rule", "inet", table.name, "forward", "accept", "comment", '"x"']],
  ["a counter added", ["add", "rule", "inet", table.name, "forward", "counter", "accept"]],
  ["a counter object added", ["add", "counter", "inet", table.name, "c"]],
  ["a set added", ["add", "set", "inet", table.name, "s", "{ type ipv4_addr; }"]],
  ["another policy", ["chain", "inet", table.name, "forward", "{ policy drop; }"]],
  ["the table made dormant", ["add", "table", "inet", table.name, "{ flags dormant; }"]],
  ["the table deleted", ["delete", "table", "inet", table.name]],
] as const;

/** The command of `heddle plan`, which is what earlier versions ran. */
const asNft = (wanted: RuleTable) => rule.command("set", wanted, null);

const dualStack = ruleTable(
  "default",
  [
    { family: "ipv4", network: "10.5.0.0/16", subnet: "10.5.7.0/24" },
    { family: "ipv6", network: "fd05::/48", subnet: "fd05:0:0:7::/64" },
  ],
  true,
);

describe("the program of a rule", () => {
  test("every message of a table is, byte for byte, the one that nft sends", () => {
    const file = join(import.meta.dir, "../fixtures/netlink/nftables/dual-stack-masquerade.hex");
    const lines = readFileSync(file, "utf8").trim().split("\n").slice(2);
    const recorded = lines
      .join("\n")
      .replaceAll(/\n(?!\S+ )/g, "")
      .split("\n");
    const made = replacement(dualStack);
    if (typeof made === "string") throw new Error(made);
    const line = ({ type, flags, payload }: Request): string => {
      const numbers = [type, flags | 1].map((number) => number.toString(16).padStart(4, "0"));
      return `${numbers.join(" ")}${payload.toHex()}`;
    };
    // nft sends each chain before the rules of any; so do we.
    expect([BATCH.begin, ...made, BATCH.end].map(line)).toEqual(recorded);
  });

  test("gives the text back, for prefixes of any length", () => {
    const bits = fc.record({ length: fc.integer({ min: 0, max: 32 }), ip: fc.nat(0xffffffff) });
    const side = fc.constantFrom("saddr", "daddr", "saddr !=", "daddr !=");
    const end = fc.constantFrom("accept", "return", "masquerade fully-random");
    fc.assert(
      fc.property(bits, side, end, ({ length, ip }, where, verdict) => {
        const masked = length === 0 ? 0 : (ip & (0xffffffff << (32 - length))) >>> 0;
        const octets = [24, 16, 8, 0].map((shift) => (masked >>> shift) & 255);
        const v6 = `${(masked >>> 16).toString(16)}:${(masked & 0xffff).toString(16)}::`;
        for (const text of [
          `ip ${where} ${octets.join(".")}/${length} ${verdict}`,
          `ip6 ${where} ${masked === 0 ? "::" : v6.replace(/:0::$/, "::")}/${length} ${verdict}`,
        ]) {
          expect(textOf(programOf(text) ?? [])).toBe(text);
        }
      }),
    );
  });

  test("with a step more, less or turned around is no rule of ours", () => {
    for (const text of dualStack.chains.flatMap((chain) => chain.rules)) {
      const program = programOf(text) ?? [];
      expect(textOf(program)).toBe(text);
      for (let i = 0; i < program.length; i++) {
        expect(textOf(program.toSpliced(i, 1))).not.toBe(text);
        const twice = program.toSpliced(i, 0, { name: "other", of: "counter" });
        expect(textOf(twice)).toContain("counter");
      }
      expect(programOf(textOf(program.toReversed()))).toBeNull();
    }
  });
});

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
      expect(JSON.stringify(outcome)).toContain("can write: no such thing");
      expect(await tableOf()).toEqual(table);
    });

    test("what the kernel refuses changes nothing and is said in one line", async () => {
      await host.apply(set("rule", table));
      const [chain] = table.chains;
      if (chain === undefined) throw new Error("a chain");
      const broken = { ...table, chains: [chain, { ...chain, type: "nat" as const }] };
      const [outcome] = await host.kernel.apply([set("rule", broken)]);
      // EOPNOTSUPP in Linux 6.1
      const message = expect.stringMatching(/^(EEXIST|EOPNOTSUPP): .+$/);
      expect(outcome).toMatchObject({ ok: false, message });
      expect(await tableOf()).toEqual(table);
    });

    test("the kernel holds what nft would have made of the same rules", async () => {
      const listed = () =>
        nft("-s", "-y", "list", "table", "inet", dualStack.name) +
        nft("-nn", "--debug=netlink", "list", "table", "inet", dualStack.name).replaceAll(
          /^inet .*$/gm,
          "",
        );
      await host.apply(set("rule", dualStack));
      const ours = listed();
      host.netns.exec(["sh", "-c", asNft(dualStack)]);
      expect(listed()).toBe(ours);
    });

    test("a table that nft made is ours as it is", async () => {
      host.netns.exec(["sh", "-c", asNft(dualStack)]);
      expect(await tableOf()).toEqual(dualStack);
    });

    test("the program nft is not needed", async () => {
      const path = process.env.PATH;
      process.env.PATH = "/nonexistent";
      try {
        await host.apply(set("rule", table));
        expect(await tableOf()).toEqual(table);
      } finally {
        process.env.PATH = path;
      }
    });

    test("our own change of rules does not wake us, another's does", async () => {
      await host.apply(set("rule", table));
      await tableOf();
      let wakes = 0;
      const watch = host.kernel.watch(() => {
        wakes++;
      });
      await host.apply(set("rule", dualStack), set("rule", table));
      nft("add", "table", "inet", "other");
      nft("add", "chain", "inet", "other", "mine");
      const heard = wakes;
      nft("add", "chain", "inet", table.name, "extra");
      while (wakes === heard) await new Promise(setImmediate);
      watch.close();
      expect(heard).toBe(0);
    });
  });
