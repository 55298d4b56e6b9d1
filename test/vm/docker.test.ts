// Docker on two hosts: on the first, which is this machine itself, log, agent and Docker are
// services by the units of docs/operations.md, and a Docker was there before; on the second, which
// is a namespace, all is started by hand as the README does. What doctor says about Docker's packet
// filter is true, and what it advises is enough.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { addNetns, addVeth, deleteNetns, ip } from "../../src/cli/dev-netns.ts";
import { until } from "../support/fabric.ts";
import { documented, install, requireMachine } from "../support/machine.ts";
import { run } from "../support/netns.ts";

setDefaultTimeout(600_000);

const NATS = "nats://10.0.0.1:4222";
const SERVER = "host: 10.0.0.1\nport: 4222\njetstream { store_dir: /var/lib/nats }\n";
const FABRIC = '{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}';

interface Host {
  readonly enter: readonly string[];
  /** The command that reaches its Docker. */
  readonly docker: string;
}

interface Check {
  readonly name: string;
  readonly result: string;
  readonly found: string;
  readonly advice: string | null;
}

const running: Bun.Subprocess[] = [];
let dir = "";

function shell(host: Host, script: string): readonly string[] {
  return [...host.enter, "sh", "-c", `export HEDDLE_NATS=${NATS}; ${script}`];
}

const sh = (host: Host, script: string): string => run(shell(host, script));

function succeeds(host: Host, script: string): boolean {
  return Bun.spawnSync([...shell(host, script)]).exitCode === 0;
}

function background(command: readonly string[], log: string): Bun.Subprocess {
  const child = Bun.spawn([...command], { stdout: "ignore", stderr: Bun.file(join(dir, log)) });
  running.push(child);
  return child;
}

/** This machine and a namespace with a /run of its own, joined by a wire. */
function wire(): [Host, Host] {
  run(["ip", "netns", "attach", "host1", "1"]);
  addNetns("host2");
  addVeth({ netns: "host1", dev: "eth0" }, { netns: "host2", dev: "eth0" });
  for (const i of [1, 2]) {
    ip(`host${i}`, `addr add 10.0.0.${i}/24 dev eth0`);
    ip(`host${i}`, "link set eth0 up");
    ip(`host${i}`, `route add default via 10.0.0.${3 - i}`);
  }
  run(["hostname", "host1"]);
  mkdirSync("/var/lib/heddle", { recursive: true });
  const own = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib/heddle";
  const script = `hostname host2; ${own} && exec sleep infinity`;
  const unshare = ["unshare", "--mount", "--uts", "sh", "-c", script];
  const { pid } = background(["nsenter", "--net=/run/netns/host2", ...unshare], "host2.log");
  return [
    { enter: [], docker: "docker" },
    {
      enter: ["nsenter", "-t", `${pid}`, "--net", "--mount", "--uts"],
      docker: `docker -H unix://${dir}/docker.sock`,
    },
  ];
}

/** As its package starts it: it turns forwarding on itself, and the policy to DROP. */
function dockerWasThere(): void {
  run(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
  run(["systemctl", "start", "docker"]);
}

async function services(host: Host): Promise<void> {
  await Bun.write("/etc/nats-server.conf", SERVER);
  run(["install", "-d", "-o", "nats", "/var/lib/nats"]);
  run(["systemctl", "enable", "--now", "nats-server"]);
  await Bun.write(join(dir, "net-conf.json"), FABRIC);
  const init = `heddle init --config ${dir}/net-conf.json`;
  await until("the log", 60_000, () => succeeds(host, init));
  documented("docs/operations.md", "/etc/systemd/system/heddle.service");
  documented("docs/operations.md", "/etc/systemd/system/docker.service.d/heddle.conf");
  run(["systemctl", "daemon-reload"]);
  run(["systemctl", "enable", "--now", "heddle"]);
  run(["systemctl", "restart", "docker"]);
}

/** The README's commands, with the places that two daemons on one machine cannot share. */
async function byHand(host: Host): Promise<void> {
  background(shell(host, "exec heddle agent"), "agent.log");
  sh(host, "heddle status --wait=120s");
  const own = ["data-root", "exec-root"].map((name) => `--${name} ${dir}/${name}`).join(" ");
  const places = `${own} -H unix://${dir}/docker.sock --pidfile ${dir}/docker.pid`;
  const dockerd = 'exec dockerd --bip="$FLANNEL_SUBNET" --mtu="$FLANNEL_MTU" --ip-masq=false';
  background(shell(host, `. /run/flannel/subnet.env; ${dockerd} ${places}`), "dockerd.log");
  await until("dockerd", 120_000, () => succeeds(host, `${host.docker} version`));
}

/** A container made of nothing but busybox; its address. */
function container(host: Host): string {
  sh(host, `tar -C ${dir}/rootfs -c . | ${host.docker} import - busybox`);
  sh(host, `${host.docker} run -d --name box busybox /bin/busybox sleep 100000`);
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  return sh(host, `${host.docker} inspect -f '${format}' box`).trim();
}

function pings(from: Host, to: string): boolean {
  return succeeds(from, `${from.docker} exec box /bin/busybox ping -c 3 -W 3 ${to}`);
}

function checks(host: Host): Check[] {
  const ran = Bun.spawnSync([...shell(host, "heddle doctor --json")]);
  return (JSON.parse(ran.stdout.toString()) as { checks: Check[] }).checks;
}

/** Does what doctor advises; resolves with the names of what it complained about. */
function follow(host: Host): string[] {
  const complaints = checks(host).filter(({ result }) => result !== "ok");
  for (const { advice } of complaints) {
    // Alternatives follow the commands.
    sh(host, (advice ?? "").replace(/; or .*/, ""));
  }
  return complaints.map(({ name, found }) => `${name}: ${found}`);
}

describe.skipIf(!requireMachine("docker"))("two hosts with Docker", () => {
  beforeAll(() => {
    dir = mkdtempSync("/tmp/heddle-docker-");
    install();
    mkdirSync(join(dir, "rootfs", "bin"), { recursive: true });
    run(["cp", "/bin/busybox", join(dir, "rootfs", "bin")]);
  });

  afterAll(async () => {
    run(["systemctl", "stop", "docker.socket", "docker", "heddle", "nats-server"]);
    for (const child of running.reverse()) {
      child.kill("SIGTERM");
      await child.exited;
    }
    deleteNetns("host1");
    deleteNetns("host2");
    rmSync(dir, { recursive: true, force: true });
  });

  test("containers ping each other once doctor has nothing to say, also after a boot", async () => {
    const [one, two] = wire();
    dockerWasThere();
    await services(one);
    await byHand(two);
    const first = container(one);
    const second = container(two);

    expect(pings(two, first)).toBe(false);
    const said = follow(one);
    process.stderr.write(`${said.join("\n")}\n`);
    expect(said).toContain("forward-policy: forward policy is DROP in ip filter");
    follow(two);
    for (const host of [one, two]) expect(follow(host)).toEqual([]);
    expect(pings(one, second)).toBe(true);
    expect(pings(two, first)).toBe(true);

    run(["systemctl", "stop", "docker.socket", "docker", "heddle"]);
    rmSync("/run/flannel", { recursive: true });
    run(["iptables", "-P", "FORWARD", "ACCEPT"]);
    for (const table of ["filter", "raw"]) run(["iptables", "-t", table, "-F"]);
    run(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
    run(["systemctl", "start", "docker"]);
    sh(one, "docker start box");
    expect(follow(one).join()).not.toContain("forward-policy");
    expect(pings(two, first)).toBe(true);
  });
});
