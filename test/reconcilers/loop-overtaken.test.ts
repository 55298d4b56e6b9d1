import { afterEach, describe, expect, test } from "bun:test";
import type { KernelState } from "../../src/reconcilers/kernel-state.ts";
import { host, stopLoops } from "../support/loop-host.ts";

afterEach(stopLoops);

describe("a round", () => {
  test("leaves the look afterwards to the next when the log overtook it", async () => {
    const test = host();
    test.kernel.meanwhile = () => {
      test.log.join("h4").claim("h4", ["10.5.4.0/24"]);
      test.replan();
    };
    await test.settle();
    expect(test.rounds).toHaveLength(1);
    expect(test.last).toMatchObject({ seq: 9, clean: true, driftCount: 0 });
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
    expect(test.kernel.observed).toBe(2);
  });

  test("that was overtaken vouches for nothing: what went meanwhile comes back", async () => {
    const test = host();
    test.kernel.meanwhile = () => {
      test.kernel.tamper((state) => state.links.clear());
      test.log.join("h4").claim("h4", ["10.5.4.0/24"]);
      test.replan();
    };
    await test.settle();
    expect(test.rounds[0]).toMatchObject({ seq: 9, clean: false });
    await test.clock.advance(1000);
    expect(test.last).toMatchObject({ seq: 9, clean: true });
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
  });

  test("looks after one that was overtaken, although the log wants nothing more", async () => {
    const test = host();
    await test.settle();
    const before = test.kernel.observed;
    test.kernel.ignore = ({ noun }) => noun === "route";
    test.kernel.meanwhile = () => {
      test.log.join("h5");
      test.replan();
    };
    test.log.join("h4").claim("h4", ["10.5.4.0/24"]);
    test.replan();
    await test.settle();
    expect(test.kernel.observed).toBe(before + 1);
    expect(test.last).toMatchObject({ seq: test.plan.seq, clean: false });
  });

  test("that was overtaken took away what is wanted again: no drift", async () => {
    const test = host();
    await test.settle();
    test.kernel.meanwhile = () => {
      // As the kernel does when their device goes
      test.kernel.tamper((state) => {
        for (const table of [state.addrs, state.routes, state.neighs, state.fdb]) table.clear();
      });
      test.log.config({ Network: "10.5.0.0/16" });
      test.replan();
    };
    test.log.config({ Network: "10.5.0.0/16", Backend: { Type: "alloc" } });
    test.replan();
    await test.settle();
    expect(test.last).toMatchObject({ seq: test.plan.seq, clean: true, driftCount: 0 });
    expect(test.rounds).toHaveLength(2);
    expect<KernelState>(test.kernel.state).toEqual(test.plan.kernel);
  });

  test("is verified every second although the log never rests", async () => {
    const { kernel, clock, log, loop, rounds, replan } = host();
    const apply = kernel.apply.bind(kernel);
    let port = 0;
    kernel.apply = async (ops) => {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      log.update("h2", { publicIp: `198.18.7.${++port % 200}` });
      replan();
      return apply(ops);
    };
    loop.wake();
    await clock.advance(990);
    expect(rounds).toHaveLength(0);
    await clock.advance(200);
    expect(rounds.map((round) => round.clean)).toEqual([true]);
  });
});
