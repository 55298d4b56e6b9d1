// What the kernel is answered when it asks for a gateway, and that a plan which holds everybody is
// the proactive one but for what makes the kernel ask.

import { describe, expect, test } from "bun:test";
import { desired, standing } from "../../src/reconcilers/desired.ts";
import { answerFor, withHeld } from "../../src/reconcilers/desired-vxlan-miss.ts";
import { type History, history } from "../support/history.ts";

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };

function fabric(mode: string): History {
  return history("t", "h1")
    .config({ ...V4, ...V6, Backend: { Type: "vxlan", VNI: 7, Mode: mode } })
    .join("h1")
    .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
    .join("h2")
    .claim("h2", ["10.5.2.0/24", "fd00:5:0:2::/64"])
    .join("h3", { publicIpv6: null, vtepMacV6: null })
    .claim("h3", ["10.5.3.0/24", "fd00:5:0:3::/64"])
    .peer("lb", "172.30.0.0/20", "192.0.2.9", "02:00:00:00:00:99")
    .peer("bare", "172.31.0.0/20", "192.0.2.8");
}

describe("a question is answered", () => {
  const state = fabric("on-miss").state();
  const found = (dev: string, ip: string) => {
    const answer = answerFor(state, "h1", dev, ip);
    return answer === null ? null : `${answer.peer} ${answer.subnet} ${answer.fdb.dst}`;
  };

  test("with the peer whose subnet begins with that address, in each family", () => {
    expect(found("heddle.7", "10.5.2.0")).toBe("h2 10.5.2.0/24 198.18.0.2");
    expect(found("heddle-v6.7", "fd00:5:0:2::")).toBe("h2 fd00:5:0:2::/64 2001:db8::2");
    expect(found("heddle.7", "172.30.0.0")).toBe("peer:lb 172.30.0.0/20 192.0.2.9");
  });

  test("with nobody for anything else", () => {
    for (const ip of ["10.5.2.1", "10.5.77.0", "10.5.1.0", "192.0.2.9", "172.31.0.0"]) {
      expect(found("heddle.7", ip)).toBe(null);
    }
    expect(found("heddle-v6.7", "fd00:5:0:3::")).toBe(null);
    expect(found("heddle-v6.7", "10.5.2.0")).toBe(null);
    expect(found("eth0", "10.5.2.0")).toBe(null);
    const proactive = fabric("proactive").state();
    expect(answerFor(proactive, "h1", "heddle.7", "10.5.2.0")).toBe(null);
  });
});

test("who holds everybody has what a proactive host has, and is made to ask", () => {
  const [lazy, eager] = [fabric("on-miss").state(), desired(fabric("proactive").state(), "h1")];
  const all = [...lazy.owners.keys(), "172.30.0.0/20", "172.31.0.0/20", "10.5.77.0/24"];
  const plan = withHeld(standing(lazy, "h1"), lazy, all);
  expect([...plan.kernel.neighs].sort()).toEqual([...eager.kernel.neighs].sort());
  expect([...plan.kernel.fdb].sort()).toEqual([...eager.kernel.fdb].sort());
  expect(plan.kernel.neighs.size).toBe(4);
  expect(plan.servedBy.size).toBe(eager.servedBy.size);
  expect(plan.servedBy.get("neigh heddle.7 172.30.0.0")).toBe("peer:lb");
  const routes = [...plan.kernel.routes].filter(([, route]) => route.unreachable !== true);
  expect(routes).toEqual([...eager.kernel.routes]);
  const differing = [...plan.kernel.sysctls.values()].filter(
    ({ path, value }) => eager.kernel.sysctls.get(path)?.value !== value,
  );
  expect(differing.map(({ path, value }) => `${path}=${value}`)).toEqual([
    "net/ipv4/neigh/heddle.7/app_solicit=3",
    "net/ipv4/neigh/heddle.7/mcast_solicit=0",
    "net/ipv6/neigh/heddle-v6.7/app_solicit=3",
    "net/ipv6/neigh/heddle-v6.7/mcast_solicit=0",
  ]);
});
