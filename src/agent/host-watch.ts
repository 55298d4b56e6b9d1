// Follows what the host is: its devices, addresses and routes, and from them the underlay to
// announce.

import type { Family, Ip } from "../events/address.ts";
import type { Clock } from "../events/clock.ts";
import { sleep } from "../events/clock.ts";
import type { Member } from "../events/event.ts";
import { type FabricConfig, underlayFamilies } from "../events/network-config.ts";
import type { HostFacts, Kernel } from "../reconcilers/kernel.ts";
import { type Identity, memberOf } from "./member.ts";
import { chooseUnderlay, type UnderlayBy, type UnderlayChoice } from "./underlay.ts";
import { createWaker } from "./waker.ts";

export interface HostWatchDeps {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly underlay: UnderlayBy;
  /** Called when the facts may have changed. */
  readonly onChange: () => void;
  /** Called when an address that was announced is gone from the host. */
  readonly onMoved: () => void;
}

type Answer = Member | { readonly reason: string };

export interface HostWatch {
  /** What to announce under `config`, or why nothing can be. */
  member(config: FabricConfig, capabilities: readonly string[]): Answer;
  run(signal: AbortSignal): Promise<void>;
}

/** Notifications come in bursts, a long one at start; one look serves a burst. */
const SETTLE_MS = { lone: 20, after: 500, within: 1000 } as const;
const RETRY_MS = 1000;
/** The safety net below the kernel's notifications, which may be lost. */
const PERIOD_MS = 60_000;

export function createHostWatch(deps: HostWatchDeps): HostWatch {
  const { kernel, clock, identity, underlay } = deps;
  const waker = createWaker(clock);
  let facts: HostFacts | null = null;
  let reachDev: string | null = null;
  let trouble = "the host's devices are not known yet";
  /** Addresses of the underlay when it last could be used. */
  let announced: readonly Ip[] = [];
  /** The last answer, and what it was made of: it is asked for after every event. */
  let known: { readonly of: readonly unknown[]; readonly answer: Answer } | null = null;

  async function look(): Promise<boolean> {
    try {
      if (underlay.by === "reach") reachDev = await kernel.routeTo(underlay.ip);
      facts = await kernel.facts();
      noteMove(facts);
      return true;
    } catch (error) {
      trouble = `the host's devices cannot be read: ${String(error)}`;
      return false;
    }
  }

  function choose(known: HostFacts, families: readonly Family[]): UnderlayChoice {
    const { publicIp, publicIpv6 } = identity;
    return chooseUnderlay(known, { by: underlay, reachDev, publicIp, publicIpv6 }, families);
  }

  function answer(known: HostFacts, config: FabricConfig, capabilities: readonly string[]): Answer {
    const choice = choose(known, underlayFamilies(config));
    if (!choice.ok) return { reason: choice.reason };
    return memberOf(config, choice.underlay, identity, capabilities);
  }

  function noteMove(known: HostFacts): void {
    const choice = choose(known, []);
    if (!choice.ok) return;
    const there = new Set(known.devices.flatMap(({ addresses }) => addresses.map(networkless)));
    if (announced.some((ip) => !there.has(ip))) deps.onMoved();
    const { local, localv6 } = choice.underlay;
    announced = [local, localv6].filter((ip) => ip !== null);
  }

  return {
    member: (config, capabilities) => {
      if (facts === null) return { reason: trouble };
      const of = [facts, config, capabilities.join()];
      if (known === null || known.of.some((part, i) => part !== of[i])) {
        known = { of, answer: answer(facts, config, capabilities) };
      }
      return known.answer;
    },
    run: async (signal) => {
      const watch = kernel.watch(waker.wake);
      try {
        while (!signal.aborted) {
          const seen = await look();
          const lookedMs = clock.nowMs();
          deps.onChange();
          await waker.wait(seen ? PERIOD_MS : RETRY_MS, signal);
          const { lone, after, within } = SETTLE_MS;
          await sleep(clock, clock.nowMs() - lookedMs < within ? after : lone, signal);
        }
      } finally {
        watch.close();
      }
    },
  };
}

function networkless(address: string): Ip {
  return address.slice(0, address.indexOf("/"));
}
