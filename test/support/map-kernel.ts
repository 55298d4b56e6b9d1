// The least that can stand in for a kernel in tests of the loop: maps, ops that always work unless
// the test refuses them, and notifications for what the test changes behind the loop's back.

import type { HostFacts, Kernel, Scope, Watch } from "../../src/reconcilers/kernel.ts";
import {
  emptyKernelState,
  type KernelState,
  type MutableKernelState,
} from "../../src/reconcilers/kernel-state.ts";
import type { Op, OpOutcome } from "../../src/reconcilers/op.ts";
import { applyOp, copyOf } from "./apply-ops.ts";

export class MapKernel implements Kernel {
  state: MutableKernelState = emptyKernelState();
  /** Every batch that was applied, failed ops included. */
  readonly batches: (readonly Op[])[] = [];
  /** Message with which an op fails, or null. */
  refuse: (op: Op) => string | null = () => null;
  /** Accepted and ignored, as a kernel does with an attribute that it does not know. */
  ignore: (op: Op) => boolean = () => false;
  /** When set, observe throws it. */
  broken: string | null = null;
  observed = 0;
  watchers = new Set<() => void>();
  /** Runs in the middle of apply, after the ops took effect. */
  meanwhile: (() => void) | null = null;

  get applied(): readonly string[] {
    return this.batches.flat().map((op) => `${op.verb} ${op.noun} ${op.key}`);
  }

  async observe(scope: Scope): Promise<KernelState> {
    this.observed += 1;
    if (this.broken !== null) throw new Error(this.broken);
    const found = copyOf(this.state);
    for (const name of found.links.keys())
      if (!scope.links.includes(name)) found.links.delete(name);
    return found;
  }

  async apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    this.batches.push(ops);
    const outcomes = ops.map((op): OpOutcome => {
      const message = this.refuse(op);
      if (message !== null) return { ok: false, errno: 22, message };
      if (!this.ignore(op)) applyOp(this.state, op);
      return { ok: true };
    });
    const { meanwhile } = this;
    this.meanwhile = null;
    meanwhile?.();
    return outcomes;
  }

  /** Somebody else changes the kernel; the loop is told. */
  tamper(change?: (state: MutableKernelState) => void): void {
    change?.(this.state);
    for (const notify of this.watchers) notify();
  }

  watch(onChange: () => void): Watch {
    this.watchers.add(onChange);
    return { close: () => this.watchers.delete(onChange) };
  }

  async facts(): Promise<HostFacts> {
    const devices = [...this.state.links.values()].map((link, index) => ({
      name: link.name,
      index,
      kind: link.kind,
      mtu: link.mtu,
      up: link.up,
      mac: link.mac,
      alias: link.alias,
      addresses: [],
    }));
    return { devices, defaultDevs: { ipv4: [], ipv6: [] }, onlink: [] };
  }

  async routeTo(): Promise<string | null> {
    return null;
  }
}
