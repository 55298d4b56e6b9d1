// The udp backend's programs meet the verifier of a distribution's kernel: from 6.6, which brought
// TCX, they are loaded and carry; before it threads do, and status says why.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type TestFabric, withFabric } from "../support/fabric.ts";
import { kernelIsFrom, requireMachine } from "../support/machine.ts";

setDefaultTimeout(300_000);

const NAMES = ["h1", "h2"];

async function carries(fabric: TestFabric): Promise<void> {
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "udp" } });
  for (const name of NAMES) fabric.start(name);
  await fabric.ready(NAMES, 1, 60_000);
  const [one, two] = NAMES.map((name) => fabric.container(name));
  if (one === undefined || two === undefined) throw new Error("no containers");
  expect(fabric.ping(one, two)).toBe(true);
  expect(fabric.ping(two, one)).toBe(true);
  const tunnel = (await fabric.status("h1"))?.tunnel;
  const resident = tunnel?.features.find(({ name }) => name === "kernel-resident");
  const { tx_encap_packets: sent = 0, rx_decap_packets: received = 0 } = tunnel?.counters ?? {};
  process.stderr.write(`${JSON.stringify({ features: tunnel?.features, sent, received })}\n`);
  if (kernelIsFrom(6, 6)) {
    expect(resident).toMatchObject({ on: true });
    expect(Math.min(sent, received)).toBeGreaterThan(0);
  } else {
    const encap = tunnel?.features.find(({ name }) => name === "kernel-encap");
    expect(encap?.reason).toBe("EINVAL, as before Linux 6.6");
    expect(resident?.on).toBe(false);
    expect([sent, received]).toEqual([0, 0]);
  }
}

describe.skipIf(!requireMachine("udp"))("the udp backend", () => {
  test(`is carried by ${kernelIsFrom(6, 6) ? "programs" : "threads"} on this kernel`, async () =>
    await withFabric({ hosts: 2 }, carries));
});
