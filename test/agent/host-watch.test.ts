// When the host is looked at again, and what is announced meanwhile.

import { expect, test } from "bun:test";
import { createHostWatch } from "../../src/agent/host-watch.ts";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import type { HostFacts } from "../../src/reconcilers/kernel.ts";
import { manualClock } from "../support/manual-clock.ts";
import { MapKernel } from "../support/map-kernel.ts";

const facts: HostFacts = {
  devices: [
    {
      ...{ name: "eth0", index: 2, kind: null, mtu: 1500, up: true, mac: null, alias: null },
      addresses: ["198.18.0.1/24"],
    },
  ],
  defaultDevs: { ipv4: ["eth0"], ipv6: [] },
  onlink: [],
};

class LookedAt extends MapKernel {
  looks = 0;
  override facts(): Promise<HostFacts> {
    this.looks++;
    return Promise.resolve({ ...facts });
  }
}

function given() {
  const clock = manualClock();
  const kernel = new LookedAt();
  const stop = new AbortController();
  const identity = {
    ...{ fabric: "t", node: "h1", instance: "boot-1", version: "0.1.0", ipMasq: false },
    ...{ publicIp: null, publicIpv6: null },
  };
  const watch = createHostWatch({
    ...{ kernel, clock, identity, underlay: { by: "default-route" } },
    onChange: () => undefined,
    onMoved: () => undefined,
  });
  void watch.run(stop.signal);
  return { clock, kernel, stop, watch };
}

test("a lone change is looked at 20 ms later, a burst half a second later and once", async () => {
  const { clock, kernel, stop } = given();
  await clock.advance(5000);
  expect(kernel.looks).toBe(1);
  kernel.tamper();
  await clock.advance(20);
  expect(kernel.looks).toBe(2);
  for (let i = 0; i < 10; i++) {
    kernel.tamper();
    await clock.advance(15);
  }
  expect(kernel.looks).toBe(2);
  await clock.advance(350);
  expect(kernel.looks).toBe(3);
  stop.abort();
  await clock.advance(0);
  expect(clock.pending).toBe(0);
});

test("what is announced is made once for the same facts and configuration", async () => {
  const { clock, kernel, stop, watch } = given();
  await clock.advance(0);
  const configOf = (type: string) => {
    const parsed = parseNetworkConfig({ Network: "10.5.0.0/16", Backend: { Type: type } });
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.config;
  };
  const vxlan = configOf("vxlan");
  const first = watch.member(vxlan, []);
  expect(first).toMatchObject({ node: "h1", backend: "vxlan", publicIp: "198.18.0.1" });
  expect(watch.member(vxlan, [])).toBe(first);
  expect(watch.member(configOf("udp"), ["gso"])).toMatchObject({ capabilities: ["gso"] });
  expect(watch.member(configOf("udp"), [])).toMatchObject({ capabilities: [] });
  kernel.tamper();
  await clock.advance(300);
  expect(watch.member(vxlan, [])).toEqual(first);
  expect(watch.member(vxlan, [])).not.toBe(first);
  stop.abort();
  await clock.advance(0);
});
