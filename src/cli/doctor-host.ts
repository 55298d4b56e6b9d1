// Checks of this host: privileges, kernel, devices, ports, subnet.env.

import { open, readFile } from "node:fs/promises";
import type { AgentStatus } from "../agent/status.ts";
import { containsIp } from "../events/address.ts";
import {
  type Check,
  type Findings,
  fail,
  isInstalled,
  ok,
  outputOf,
  subnetsOf,
  warn,
} from "./doctor-check.ts";
import { hasNetAdmin } from "./privilege.ts";

export async function hostChecks(
  findings: Findings,
  subnetFile: string,
): Promise<readonly Check[]> {
  return await Promise.all([
    privileges(),
    vxlan(findings),
    tun(findings),
    packetsOnRestart(findings),
    forwarding(findings),
    nftPresent(),
    mtu(findings),
    tunnelPort(findings),
    flannel(findings),
    subnetEnv(findings, subnetFile),
  ]);
}

async function privileges(): Promise<Check> {
  const name = "privileges";
  if (hasNetAdmin()) return ok(name, "CAP_NET_ADMIN");
  return fail(name, "no CAP_NET_ADMIN", "run as root, or give the capability to the service");
}

/** Tried in a network namespace of its own that ends with the process. */
async function vxlan(findings: Findings): Promise<Check> {
  const name = "kernel-vxlan";
  const type = findings.state?.config?.backend.type ?? "vxlan";
  if (type !== "vxlan") return ok(name, `not needed by ${type}`);
  if (findings.facts?.devices.some(({ kind }) => kind === "vxlan")) return ok(name, "in use");
  if (!isInstalled("ip")) return warn(name, "cannot be tried without ip", "install iproute2");
  const add = ["ip", "link", "add", "hd-probe", "type", "vxlan", "id", "1", "dstport", "8472"];
  if ((await outputOf(["unshare", "--net", ...add])) !== null) return ok(name, "available");
  if (process.getuid?.() !== 0) return warn(name, "cannot be tried", "run doctor as root");
  return fail(
    name,
    "a vxlan device cannot be made",
    "modprobe vxlan; if that fails, install the kernel's extra modules (linux-modules-extra-* on " +
      "Ubuntu); or use Backend udp or host-gw",
  );
}

/** In a container the device is often missing although the kernel has the driver. */
async function tun({ state }: Findings): Promise<Check> {
  const name = "dev-net-tun";
  const type = state?.config?.backend.type ?? "vxlan";
  if (type !== "udp") return ok(name, `not needed by ${type}`);
  try {
    await (await open("/dev/net/tun", "r+")).close();
    return ok(name, "/dev/net/tun opens");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const advice =
      code === "EACCES" || code === "EPERM"
        ? "run as root, or allow the device to this container"
        : "modprobe tun; give a container the device (--device /dev/net/tun)";
    return fail(name, `/dev/net/tun: ${code}`, advice);
  }
}

/** With other backends the kernel forwards by itself. */
export function packetsOnRestart({
  state,
  status,
}: Pick<Findings, "state"> & {
  readonly status: Pick<AgentStatus, "tunnel"> | null;
}): Check {
  const name = "udp-restart";
  const type = state?.config?.backend.type ?? "vxlan";
  if (type !== "udp") return ok(name, `not needed by ${type}`);
  const features = status?.tunnel?.features ?? [];
  const resident = features.find((feature) => feature.name === "kernel-resident");
  if (resident === undefined) return ok(name, "not measured: no agent");
  if (resident.on) return ok(name, "IPv4 packets go on while no agent runs");
  return warn(
    name,
    "packets stop while no agent runs",
    "upgrade with heddle agent --takeover; programs in the kernel, which would go on, need " +
      "Linux 6.6, root and an IPv4 underlay (see lacks in heddle status)",
  );
}

async function forwarding({ state }: Findings): Promise<Check> {
  const name = "ip-forward";
  const paths: string[] = [];
  if (state?.config?.ipv6) paths.push("net/ipv6/conf/all/forwarding");
  if (state?.config?.ipv4 !== null) paths.push("net/ipv4/ip_forward");
  const off: string[] = [];
  for (const path of paths) if ((await textOf(`/proc/sys/${path}`)).trim() !== "1") off.push(path);
  if (off.length === 0) return ok(name, "on");
  return warn(name, `${off.join(", ")} is off`, "the agent turns it on; without one: sysctl -w");
}

async function nftPresent(): Promise<Check> {
  const version = await outputOf(["nft", "--version"]);
  if (version !== null) return ok("nft", version.trim());
  const found = "nft is not installed: what other programs filter cannot be read";
  return warn("nft", found, "install nftables");
}

async function mtu(findings: Findings): Promise<Check> {
  const name = "mtu";
  const tunnel = findings.status?.backend;
  if (!tunnel || findings.facts === null) return ok(name, "not measured: no agent");
  const subnets = subnetsOf(findings);
  const tooBig = findings.facts.devices.filter(
    (device) =>
      device.mtu > tunnel.mtu &&
      device.name !== tunnel.device &&
      device.addresses.some((address) => holds(subnets, address)),
  );
  if (tooBig.length === 0) return ok(name, `${tunnel.device} ${tunnel.mtu}`);
  const found = tooBig.map((device) => `${device.name} has ${device.mtu}`).join(", ");
  return warn(
    name,
    `${found}, ${tunnel.device} ${tunnel.mtu}`,
    "give containers the MTU in subnet.env",
  );
}

function holds(subnets: readonly string[], address: string): boolean {
  const ip = address.slice(0, address.indexOf("/"));
  return subnets.some((subnet) => containsIp(subnet, ip));
}

interface VxlanDevice {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly flags?: readonly string[];
  readonly linkinfo?: { readonly info_data?: { readonly id?: number; readonly port?: number } };
}

/** Another device with our VNI and port keeps the kernel from making ours. */
async function tunnelPort(findings: Findings): Promise<Check> {
  const name = "vxlan-port";
  const backend = findings.state?.config?.backend;
  if (backend?.type !== "vxlan") return ok(name, "not needed");
  // Without it our own device, which holds the port, would pass for somebody else's.
  if (!isInstalled("ip")) return warn(name, "cannot be seen without ip", "install iproute2");
  const { port, vni } = backend;
  const listed = await outputOf(["ip", "-d", "-j", "link", "show", "type", "vxlan"]);
  const devices = JSON.parse(listed || "[]") as readonly VxlanDevice[];
  const ours = `heddle ${findings.fabric}`;
  const rival = devices.find(({ ifalias, linkinfo }) => {
    const data = linkinfo?.info_data;
    return ifalias !== ours && data?.port === port && data.id === vni;
  });
  if (rival !== undefined) {
    const found = `${rival.ifname} has VNI ${vni} on UDP port ${port}`;
    return fail(name, found, "remove it, or choose another Backend.VNI or Backend.Port");
  }
  // A vxlan device that is up holds the port itself, for the kernel.
  const inUse = devices.some(
    ({ flags, linkinfo }) => flags?.includes("UP") && linkinfo?.info_data?.port === port,
  );
  const holder = inUse ? null : await portHolder(port);
  if (holder === null) return ok(name, `VNI ${vni}, UDP port ${port}`);
  const advice = "end that program, or choose another Backend.Port";
  return fail(name, `UDP port ${port} is taken by ${holder}`, advice);
}

async function portHolder(port: number): Promise<string | null> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  for (const path of ["/proc/net/udp", "/proc/net/udp6"]) {
    for (const line of (await textOf(path)).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const inode = fields[9] ?? "0";
      if (fields[1]?.endsWith(`:${hex}`)) return `a program (inode ${inode})`;
    }
  }
  return null;
}

function flannel({ facts }: Findings): Check {
  const found = (facts?.devices ?? []).filter(({ name }) => name.startsWith("flannel"));
  if (found.length === 0) return ok("flannel", "no flannel device");
  const names = found.map(({ name }) => name).join(", ");
  return warn(
    "flannel",
    `${names} is there`,
    "flannel and heddle must not share a network: stop one",
  );
}

async function subnetEnv({ plan, status }: Findings, path: string): Promise<Check> {
  const name = "subnet-file";
  const text = await textOf(path);
  if (text === "")
    return warn(name, `${path} is missing`, "the agent writes it once it has a lease");
  if (status === null || plan === null) return ok(name, `${path}, not compared: no agent`);
  if (text === plan.subnetEnv) return ok(name, path);
  const advice = "something else writes it (flannel?), or --subnet-file names another one";
  return warn(name, `${path} is not what the agent writes`, advice);
}

/**
 * Contents, or "" when it cannot be read: an absent file and an unreadable one are the same
 * here.
 */
async function textOf(path: string): Promise<string> {
  return await readFile(path, "utf8").catch(() => "");
}
