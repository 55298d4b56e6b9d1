// A restarted udp host before it has met its log: it goes on with the peers that its own snapshot
// knows, and only then, and only with what was there.

import { beforeEach, describe, expect, test } from "bun:test";
import { openTunnelEarly } from "../../src/agent/early-tunnel.ts";
import type { AgentFiles } from "../../src/agent/files.ts";
import { loadSnapshot } from "../../src/agent/snapshot-keeper.ts";
import { encodeSnapshot } from "../../src/events/snapshot.ts";
import { type History, history } from "../support/history.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { manualClock } from "../support/manual-clock.ts";

const udp = { backend: "udp", publicIpv6: null, vtepMac: null, vtepMacV6: null } as const;
const device = { kind: "tun", mac: "", mtu: 1472, alias: "heddle t" } as const;

let model: KernelModel;
let story: History;
let text: string | null;
let warnings: string[];

beforeEach(() => {
  model = new KernelModel();
  model.put("link", hostLink("eth0"));
  model.put("link", hostLink("heddle0", device));
  story = history("t", "h1").config({ Network: "10.5.0.0/16", Backend: { Type: "udp" } });
  story.join("h1", udp).claim("h1", ["10.5.1.0/24"]).join("h2", udp).claim("h2", ["10.5.2.0/24"]);
  warnings = [];
  text = snapshotOf(instanceOf("h1"));
});

const instanceOf = (node: string): string => story.state().nodes.get(node)?.instance ?? "";

function snapshotOf(writer: string): string {
  const state = story.state();
  return encodeSnapshot({
    position: { created: "c", seq: state.seq, chain: "", tip: "" },
    state,
    writer,
  });
}

async function open(instance = instanceOf("h1")): Promise<void> {
  const unused = () => Promise.reject(new Error("not its business"));
  const files: AgentFiles = {
    readSnapshot: () => Promise.resolve(text),
    ...{ writeSnapshot: unused, readSubnetEnv: unused, writeSubnetEnv: unused },
  };
  const ignore = (): void => undefined;
  const warn = (message: string): void => void warnings.push(message);
  const logger = { debug: ignore, info: ignore, warn, error: ignore };
  const snapshot = loadSnapshot({ files, clock: manualClock(), logger }, "t", "h1");
  await openTunnelEarly({ kernel: model, logger, snapshot }, { fabric: "t", node: "h1", instance });
}

const peers = (): string[] => [...model.state.peers.keys()];

describe("a tunnel before the log", () => {
  test("has the peers of the snapshot; nothing else is touched", async () => {
    await open();
    expect(peers()).toEqual(["h2"]);
    expect(model.state.links.get("heddle0")?.tun?.subnets).toEqual(["10.5.1.0/24"]);
    const { routes, addrs, rules, sysctls } = model.state;
    expect([...routes.values()].filter(({ dev }) => dev === "heddle0")).toEqual([]);
    expect([addrs, rules, sysctls].map(({ size }) => size)).toEqual([0, 0, 0]);
  });

  test("is not made where its device is gone, or is somebody else's", async () => {
    model.remove("link", "heddle0");
    await open();
    expect(model.state.links.has("heddle0")).toBe(false);
    model.put("link", hostLink("heddle0", { ...device, alias: "heddle other" }));
    await open();
    expect(peers()).toEqual([]);
  });

  test("waits for the log after a reboot, and when the name is another's", async () => {
    await open("another-boot");
    expect(peers()).toEqual([]);
    text = snapshotOf("another-boot");
    await open();
    expect(peers()).toEqual([]);
  });

  test("waits for the log without a snapshot, and without a lease", async () => {
    text = null;
    await open();
    story.release("h1");
    text = snapshotOf(instanceOf("h1"));
    await open();
    expect(peers()).toEqual([]);
  });

  test("waits for the log when the backend is another now", async () => {
    story.config({ Network: "10.5.0.0/16" });
    text = snapshotOf(instanceOf("h1"));
    await open();
    expect(peers()).toEqual([]);
    expect(model.state.links.get("heddle0")?.tun).toBeUndefined();
  });

  test("is not looked for where there was none", async () => {
    story.config({ Network: "10.5.0.0/16" });
    text = snapshotOf(instanceOf("h1"));
    let looks = 0;
    model.facts = () => Promise.reject(new Error(`look ${++looks}`));
    await open();
    text = null;
    await open();
    expect(looks).toBe(0);
  });

  test("that cannot be had is no reason not to start", async () => {
    model.facts = () => Promise.reject(new Error("no memory"));
    await open();
    expect(warnings).toEqual(["tunnel not open before the log"]);
  });
});
