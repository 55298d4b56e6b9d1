// The host that the kernel's contract asks for, once on the real kernel in a fresh namespace and
// once in the model, each with somebody else's hands on it.

import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { hostLink, KernelModel } from "./kernel-model.ts";
import { fdb, route } from "./kernel-objects.ts";
import type { Foreign, KernelUnderTest } from "./kernel-under-test.ts";
import { joinByVeth, makeNetns, type Netns } from "./netns.ts";

function realForeign(netns: Netns): Foreign {
  const family = (text: string) => (text.includes(":") ? "-6 " : "");
  return {
    delRoute: (dst) => void netns.ip(`${family(dst)}route del ${dst}`),
    replaceRoute: (dst, via, dev) => void netns.ip(`route replace ${dst} via ${via} dev ${dev}`),
    delNeigh: (dev, ip) => void netns.ip(`neigh del ${ip} dev ${dev}`),
    delFdb: (dev, mac, dst) => void netns.bridge(`fdb del ${mac} dev ${dev} dst ${dst} self`),
    delAddr: (dev, address) => void netns.ip(`addr del ${address} dev ${dev}`),
    setUp: (dev, up) => void netns.ip(`link set ${dev} ${up ? "up" : "down"}`),
    delLink: (dev) => void netns.ip(`link del ${dev}`),
    addBridge: (name) => void netns.ip(`link add ${name} type bridge`),
    learn: (dev, mac, dst) =>
      void netns.bridge(`fdb add ${mac} dev ${dev} dst ${dst} self dynamic`),
    addRule: ({ family: of, name }, chain) =>
      void netns.exec(["nft", "add", "rule", of, name, chain, "counter"]),
    hasLink: (dev) => netns.ipJson("link show").some((row) => row.ifname === dev),
  };
}

export function realKernel(): KernelUnderTest {
  const netns = makeNetns();
  const v6 = ["198.18.0.1/24", "2001:db8::1/64"];
  joinByVeth({ netns, dev: "eth0", addresses: v6 }, { netns, dev: "far0", addresses: [] });
  joinByVeth(
    { netns, dev: "eth1", addresses: ["198.18.1.1/24"] },
    { netns, dev: "far1", addresses: [] },
  );
  netns.ip("route add default via 198.18.0.254");
  const kernel = new NetlinkKernel({ netns: netns.path });
  const dispose = () => {
    kernel.close();
    netns[Symbol.dispose]();
  };
  return { kernel, foreign: realForeign(netns), dispose };
}

function modelForeign(model: KernelModel): Foreign {
  const metric = (dst: string) => (dst.includes(":") ? 1024 : 0);
  return {
    delRoute: (dst) => model.remove("route", `${dst} ${metric(dst)}`),
    replaceRoute: (dst, via, dev) =>
      model.put("route", { ...route(dev, dst, via, false), protocol: 3 }),
    delNeigh: (dev, ip) => model.remove("neigh", `${dev} ${ip}`),
    delFdb: (dev, mac, dst) => model.remove("fdb", `${dev} ${mac} ${dst}`),
    delAddr: (dev, address) => model.remove("addr", `${dev} ${address}`),
    setUp: (dev, up) => model.setUp(dev, up),
    delLink: (dev) => model.remove("link", dev),
    addBridge: (name) => model.put("link", hostLink(name, { kind: "bridge" })),
    learn: (dev, mac, dst) => model.put("fdb", { ...fdb(dev, dst, mac), permanent: false }),
    addRule: (table, chain) =>
      model.put("rule", {
        ...table,
        chains: table.chains.map((c) =>
          c.name === chain ? { ...c, rules: [...c.rules, "counter"] } : c,
        ),
      }),
    hasLink: (dev) => model.state.links.has(dev),
  };
}

export function modelKernel(): KernelUnderTest {
  const model = new KernelModel();
  model.put("link", hostLink("eth0"));
  model.put("link", hostLink("eth1"));
  model.put("addr", { dev: "eth0", address: "198.18.0.1/24" });
  model.put("addr", { dev: "eth0", address: "2001:db8::1/64" });
  model.put("addr", { dev: "eth1", address: "198.18.1.1/24" });
  model.put("route", { ...route("eth0", "0.0.0.0/0", "198.18.0.254", false), protocol: 3 });
  return { kernel: model, foreign: modelForeign(model), dispose: () => undefined };
}
