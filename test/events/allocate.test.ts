import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allocate } from "../../src/events/allocate.ts";
import { takenBy } from "../../src/events/fold-lease.ts";
import { type Pool, poolSize, subnetAt } from "../../src/events/pool.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { steps, tell } from "../support/arbitraries.ts";
import { history } from "../support/history.ts";
import { Stopwatch } from "../support/stopwatch.ts";

function pools(state: Readonly<FabricState>): readonly Pool[] {
  const { config } = state;
  return [config?.ipv4 ?? null, config?.ipv6 ?? null].filter((pool) => pool !== null);
}

function free(state: Readonly<FabricState>, pool: Pool, node: string): readonly string[] {
  const all = Array.from({ length: Number(poolSize(pool)) }, (_, i) => subnetAt(pool, BigInt(i)));
  return all.filter((subnet) => takenBy(state, subnet, node) === null);
}

test("only free subnets are given, and one is found whenever one is free", () => {
  fc.assert(
    fc.property(steps, fc.constantFrom("h1", "h4", "newcomer"), (all, node) => {
      const { state } = tell(all);
      const allocation = allocate(state, node);
      const choices = pools(state).map((pool) => free(state, pool, node));
      expect(allocation.ok).toBe(choices.length > 0 && choices.every((each) => each.length > 0));
      if (!allocation.ok) return;
      expect(allocation.subnets.length).toBe(choices.length);
      for (const [i, each] of choices.entries()) {
        expect(each).toContain(allocation.subnets[i] ?? "");
      }
    }),
  );
});

const six = (network: string, length: number) => ({
  EnableIPv4: false,
  EnableIPv6: true,
  IPv6Network: network,
  IPv6SubnetLen: length,
});
const small: readonly (readonly [string, object])[] = [
  ["1", { Network: "10.5.0.0/28", SubnetMin: "10.5.0.4", SubnetMax: "10.5.0.4" }],
  ["3", { Network: "10.5.0.0/28" }],
  ["63", { Network: "10.5.0.0/24", SubnetLen: 30 }],
  ["64", { Network: "10.5.0.0/24", SubnetLen: 30, SubnetMin: "10.5.0.0" }],
  ["15 IPv6", six("fd00:5::/60", 64)],
  ["dual 3", { EnableIPv6: true, Network: "10.5.0.0/28", IPv6Network: "fd00::/124" }],
];

describe("a pool is filled to the last subnet, then exhausted", () => {
  test.each(small)("of %s", (_, document) => {
    const story = history("t").config(document);
    const [pool] = pools(story.state());
    const size = Number(pool === undefined ? 0n : poolSize(pool));
    for (let i = 1; i <= size; i++) {
      const allocation = allocate(story.state(), `h${i}`);
      if (!allocation.ok) throw new Error(allocation.reason);
      story.join(`h${i}`).claim(`h${i}`, allocation.subnets);
    }
    expect(allocate(story.state(), "one-more")).toEqual({
      ok: false,
      reason: `pool exhausted: all ${size} subnets of ${pool?.network} are taken`,
    });
  });
});

test("without a configuration there is nothing to allocate", () => {
  expect(allocate(initialState("t"), "h1")).toEqual({
    ok: false,
    reason: "the fabric has no configuration yet",
  });
});

describe("what a node gets", () => {
  const base = () => history("t").config({ Network: "10.5.0.0/24", SubnetLen: 28 }).join("h1");

  test("is what it had before", () => {
    const story = base().claim("h1", ["10.5.0.96/28"]).release("h1");
    expect(allocate(story.state(), "h1")).toEqual({ ok: true, subnets: ["10.5.0.96/28"] });
  });

  test("is what is reserved for it, before what it had", () => {
    const story = base()
      .claim("h1", ["10.5.0.96/28"])
      .release("h1")
      .append({ type: "LeaseReserved", data: { subnet: "10.5.0.48/28", node: "h1", note: "" } });
    expect(allocate(story.state(), "h1")).toEqual({ ok: true, subnets: ["10.5.0.48/28"] });
  });

  test("is not what an operator took from it, unless nothing else is left", () => {
    const story = base().claim("h1", ["10.5.0.96/28"]);
    story.append({ type: "LeaseRevoked", data: { subnet: "10.5.0.96/28", note: "" } }).join("h1");
    const allocation = allocate(story.state(), "h1");
    expect(allocation.ok && allocation.subnets[0]).not.toBe("10.5.0.96/28");
    const one = history("t").config({
      Network: "10.5.0.0/28",
      SubnetMin: "10.5.0.4",
      SubnetMax: "10.5.0.4",
    });
    one.join("h1").claim("h1", ["10.5.0.4/30"]);
    one.append({ type: "LeaseRevoked", data: { subnet: "10.5.0.4/30", note: "" } }).join("h1");
    expect(allocate(one.state(), "h1")).toEqual({ ok: true, subnets: ["10.5.0.4/30"] });
  });

  test("is not what an absent node had, unless nothing else is left", () => {
    const story = history("t").config({ Network: "10.5.0.0/28" });
    for (const [node, subnet] of [
      ["h1", "10.5.0.4/30"],
      ["h2", "10.5.0.8/30"],
    ] as const) {
      story.join(node).claim(node, [subnet]).leave(node);
    }
    for (const node of ["a", "b", "c", "d"]) {
      expect(allocate(story.state(), node)).toEqual({ ok: true, subnets: ["10.5.0.12/30"] });
    }
    story.join("h3").claim("h3", ["10.5.0.12/30"]);
    expect(allocate(story.state(), "d").ok).toBe(true);
  });
});

test("a reservation inside a foreign peer's prefix opens nothing of it", () => {
  const story = history("t").config({ Network: "10.5.0.0/24", SubnetLen: 28 });
  story.append({ type: "LeaseReserved", data: { subnet: "10.5.0.32/28", node: null, note: "" } });
  story.peer("lb", "10.5.0.0/25", "198.18.9.9").peer("rest", "10.5.0.128/26", "198.18.9.8");
  for (const node of ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]) {
    const allocation = allocate(story.state(), node);
    expect(allocation.ok && Number(allocation.subnets[0]?.split(/[./]/)[3])).toBeGreaterThan(191);
  }
});

test("nodes that start together on an empty log mostly ask for different subnets", () => {
  const { state } = tell([
    {
      kind: "command",
      command: { type: "Configure", document: { Network: "10.0.0.0/8" } },
      afterMs: 0,
    },
  ]);
  const asked = Array.from({ length: 200 }, (_, i) => allocate(state, `node-${i}`));
  const different = new Set(asked.map((each) => (each.ok ? each.subnets[0] : "")));
  expect(different.size).toBeGreaterThan(195);
});

/** Looking at subnets one by one would take from seconds to the age of the universe. */
describe("a pool that is large or covered is searched at once", () => {
  const quick = (story: ReturnType<typeof history>, subnet: string | null) => {
    const watch = new Stopwatch();
    const allocation = allocate(story.state(), "h1");
    expect(watch.freeMs()).toBeLessThan(1000);
    expect(allocation.ok ? allocation.subnets[0] : null).toEqual(subnet ?? null);
  };

  test("an IPv6 /8 that foreign peers hold but for one subnet", () => {
    const story = history("t").config(six("fc00::/8", 64));
    const name = (i: number) => `p${i}`;
    // Halves, quarters, … down to a /64: what is left is the pool's last subnet.
    for (let length = 9; length <= 64; length++) {
      const base = (0xfcn << 120n) | (((1n << BigInt(length - 9)) - 1n) << BigInt(129 - length));
      const hextets = Array.from({ length: 8 }, (_, i) =>
        ((base >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
      );
      const cidr = `${hextets.join(":").replace(/(:0)+$/, "::")}/${length}`;
      story.peer(name(length), cidr, `198.18.1.${length}`);
    }
    quick(story, "fcff:ffff:ffff:ffff::/64");
    story.peer("last", "fcff:ffff:ffff:ffff::/64", "198.18.2.1");
    quick(story, null);
  });

  test("an IPv4 /8 of /24s with a hundred foreign peers", () => {
    const story = history("t").config({ Network: "10.0.0.0/8" });
    for (let i = 0; i < 100; i++) story.peer(`p${i}`, `10.${i}.0.0/16`, `198.18.1.${i}`);
    story.peer("rest", "10.128.0.0/9", "198.18.2.1");
    const watch = new Stopwatch();
    const allocation = allocate(story.state(), "h1");
    expect(watch.freeMs()).toBeLessThan(1000);
    expect(allocation.ok && allocation.subnets[0]).toMatch(/^10\.1[0-2][0-9]\.\d+\.0\/24$/);
  });
});
