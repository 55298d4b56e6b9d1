// A kernel with a host around it, as the contract suites take it: fresh for every test, and with
// somebody else who changes things behind its back.

import { afterEach, beforeEach } from "bun:test";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import type { RuleTable } from "../../src/reconcilers/kernel-state.ts";
import type { OpOutcome } from "../../src/reconcilers/op.ts";

/** Changes that somebody else makes, by other means than the Kernel under test. */
export interface Foreign {
  delRoute(dst: string): void;
  /** Replaces with the same key: destination and metric. */
  replaceRoute(dst: string, via: string, dev: string): void;
  delNeigh(dev: string, ip: string): void;
  delFdb(dev: string, mac: string, dst: string): void;
  delAddr(dev: string, address: string): void;
  setUp(dev: string, up: boolean): void;
  delLink(dev: string): void;
  /** A bridge of that name. */
  addBridge(name: string): void;
  /** An entry that the device might have learnt. */
  learn(dev: string, mac: string, dst: string): void;
  /** Appends a rule `counter` to a chain. */
  addRule(table: RuleTable, chain: string): void;
  /** Whether a device exists, as an independent reader sees it. */
  hasLink(dev: string): boolean;
}

/**
 * A host with eth0 (198.18.0.1/24, 2001:db8::1/64, up, default route via 198.18.0.254) and eth1
 * (198.18.1.1/24, up).
 */
export interface KernelUnderTest {
  readonly kernel: Kernel;
  readonly foreign: Foreign;
  dispose(): void;
}

/** Makes a host before each test of the suite and takes it away after it. */
export function hostForEach(
  make: () => KernelUnderTest,
  use: (host: KernelUnderTest) => void,
): void {
  let host: KernelUnderTest;
  beforeEach(() => {
    host = make();
    use(host);
  });
  afterEach(() => host.dispose());
}

/** One per op, 0 for success. */
export const errnos = (outcomes: readonly OpOutcome[]) =>
  outcomes.map((outcome) => (outcome.ok ? 0 : outcome.errno));

/** Resolves when `condition` holds; the test's own time limit ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
