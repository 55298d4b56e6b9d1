// The contract of the asking part of a kernel, on the real one and on the model.

import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { type AskingHost, missContract } from "../support/contract-miss.ts";
import { until } from "../support/fabric.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { MissModel } from "../support/kernel-model-miss.ts";
import { joinByVeth, makeNetns, requireRoot } from "../support/netns.ts";
import { realClock } from "../support/real-clock.ts";

if (requireRoot("the asking kernel")) {
  missContract("the real kernel with a thread", () => real(true));
  missContract("the real kernel without a thread", () => real(false));
}
missContract("the model with a thread", () => model(true));
missContract("the model without a thread", () => model(false));

function real(thread: boolean): AskingHost {
  const [netns, far] = [makeNetns(), makeNetns()];
  const addresses = ["198.18.0.1/24", "2001:db8::1/64"];
  joinByVeth(
    { netns, dev: "eth0", addresses },
    { netns: far, dev: "eth0", addresses: ["198.18.0.254/24"] },
  );
  netns.ip("route add default via 198.18.0.254");
  // Whoever the outer packet is for: that it leaves is what counts.
  for (const ip of ["198.18.0.2", "198.18.0.7", "2001:db8::2", "2001:db8::7"]) {
    netns.ip(`neigh replace ${ip} lladdr 02:00:00:00:99:99 dev eth0 nud permanent`);
  }
  const kernel = new NetlinkKernel({ netns: netns.path });
  const sent = (): number =>
    netns
      .ipJson("-s link show type vxlan")
      .map(({ stats64 }) => (stats64 as { tx: { packets: number } }).tx.packets)
      .reduce((sum, packets) => sum + packets, 0);
  return {
    kernel,
    misses: kernel.misses({ thread }),
    send: async (gateway) => {
      const before = sent();
      const target = gateway.endsWith("::") ? `${gateway}9` : gateway.replace(/0$/, "9");
      const ping = netns.spawn(["ping", "-n", "-c1", "-W4", target]);
      // Nobody answers; that it left the device is enough.
      await until("sent or refused", 5000, () => sent() > before || ping.exitCode !== null);
      ping.kill("SIGKILL");
      await ping.exited;
      return sent() > before ? "delivered" : "refused";
    },
    dispose: () => {
      kernel.close();
      for (const each of [netns, far]) each[Symbol.dispose]();
    },
  };
}

function model(thread: boolean): AskingHost {
  const kernel = new KernelModel();
  kernel.put("link", hostLink("eth0"));
  kernel.put("addr", { dev: "eth0", address: "198.18.0.1/24" });
  kernel.put("addr", { dev: "eth0", address: "2001:db8::1/64" });
  const misses = new MissModel(kernel, realClock);
  misses.thread = thread;
  return {
    kernel,
    misses,
    send: (gateway) =>
      new Promise((resolve) => {
        const dev = gateway.includes(":") ? "heddle-v6.1" : "heddle.1";
        misses.send(dev, gateway, (fate) => resolve(fate === "delivered" ? fate : "refused"));
      }),
    dispose: () => undefined,
  };
}
