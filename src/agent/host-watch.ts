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

export interface HostWatch {
  /** What to announce under `config`, or why nothing can be. */
  member(
    config: FabricConfig,
    capabilities: readonly string[],
  ): Member | { readonly reason: string };
  run(signal: AbortSignal): Promise<void>;
}

/** Notifications come in bursts; one look serves a burst. */
const SETTLE_MS = 20;
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
      const choice = choose(facts, underlayFamilies(config));
      if (!choice.ok) return { reason: choice.reason };
      return memberOf(config, choice.underlay, identity, capabilities);
    },
    run: async (signal) => {
      const watch = kernel.watch(waker.wake);
      try {
        while (!signal.aborted) {
          const known = await look();
          deps.onChange();
          await waker.wait(known ? PERIOD_MS : RETRY_MS, signal);
          await sleep(clock, SETTLE_MS, signal);
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
