// The virtual machine of scripts/test-vm.ts, seen from inside: its systemd, and one host of
// a test fabric whose agent is a service there, by the very unit that docs/operations.md shows.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestFabric, until } from "./fabric.ts";
import { run } from "./netns.ts";

const ROOT = join(import.meta.dir, "../..");
const UNIT = "/etc/systemd/system/heddle.service";
const NATIVE = "native/build/libheddle.so";

/** False, and says so, anywhere but in that machine: these tests change the system they run on. */
export function requireMachine(what: string): boolean {
  if (process.env.HEDDLE_VM === "1") return true;
  process.stderr.write(`SKIPPED ${what}: runs in a virtual machine only (npm run test:vm)\n`);
  return false;
}

/** Whether `uname -r` is this version or newer. */
export function kernelIsFrom(major: number, minor: number): boolean {
  const [a = 0, b = 0] = run(["uname", "-r"]).split(".").map(Number);
  return a > major || (a === major && b >= minor);
}

/** As the README installs it. */
export function install(): void {
  const files = ["dist/heddle", "dist/heddle-program", NATIVE].map((file) => join(ROOT, file));
  run(["install", ...files, "/usr/local/bin/"]);
}

/** Writes the file that a document shows, where its first line says. */
export function documented(document: string, path: string): void {
  const blocks = readFileSync(join(ROOT, document), "utf8").split("```");
  const block = blocks.find((text, i) => i % 2 === 1 && text.includes(`# ${path}\n`));
  if (block === undefined) throw new Error(`${document} shows no ${path}`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, block.slice(block.indexOf("\n") + 1));
}

/** The unit of docs/operations.md, for the host h1 of `fabric`. Not started yet. */
export function installService(fabric: TestFabric): void {
  const { name, netns, socket, dir, subnetFile } = fabric.host("h1");
  documented("docs/operations.md", UNIT);
  const env = {
    ...{ NATS: fabric.dev.nats, FABRIC: fabric.dev.fabric, NODE: name, IFACE: "eth0" },
    ...{ SOCKET: socket, STATE_DIR: join(dir, "state"), SUBNET_FILE: subnetFile },
  };
  const lines = Object.entries(env).map(([key, value]) => `Environment=HEDDLE_${key}=${value}`);
  const place = `NetworkNamespacePath=/run/netns/${netns}`;
  mkdirSync(`${UNIT}.d`);
  writeFileSync(`${UNIT}.d/place.conf`, ["[Service]", place, ...lines, ""].join("\n"));
  run(["systemctl", "daemon-reload"]);
  run(["journalctl", "--rotate"]);
  run(["journalctl", "--vacuum-time=1s"]);
}

export function removeService(): void {
  run(["systemctl", "disable", "--now", "heddle"]);
  rmSync(UNIT);
  rmSync(`${UNIT}.d`, { recursive: true });
  run(["systemctl", "daemon-reload"]);
}

/** A property of the service as systemd shows it. */
export function property(name: string): string {
  return run(["systemctl", "show", "--value", "-p", name, "heddle"]).trim();
}

/** The pids of all that runs in the service, a line each. */
export function processes(): string {
  return readFileSync(`/sys/fs/cgroup${property("ControlGroup")}/cgroup.procs`, "utf8").trim();
}

/** Resolves with the pid when the service's main process is another than `before`, and ready. */
export async function nextMain(fabric: TestFabric, before: string): Promise<string> {
  let pid = before;
  await until("another main process", 60_000, () => {
    pid = property("MainPID");
    return pid !== "0" && pid !== before;
  });
  await fabric.ready(["h1"], 1, 60_000);
  return pid;
}

/** What the service wrote to the journal. */
export function journal(): string[] {
  return run(["journalctl", "-u", "heddle", "-o", "cat", "--no-pager"]).trim().split("\n");
}
