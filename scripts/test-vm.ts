// Runs test files in a virtual machine with a distribution's own kernel and systemd, under QEMU.
// The machine is emulated and counts time by instructions, so it is slow to watch but no slower for
// its tests when this computer has other work. Not a part of `npm test`, because of what it takes.
//
//   npm run test:vm                                those in test/vm and of the kernel, on Debian 12
//   npm run test:vm -- trixie                      on another Debian, by its name
//   npm run test:vm -- bookworm test/netns/udp…    other test files, by their path

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const IMAGE = join(ROOT, "test", "vm", "image.sh");
const USUAL = ["test/vm/*.test.ts", "test/reconcilers/kernel-*.test.ts"];
const SUITE = /^[a-z]+$/;
const TOOLS = { "qemu-system-x86_64": "qemu-system-x86", mmdebstrap: "mmdebstrap" } as const;

function say(line: string): void {
  process.stdout.write(`test:vm: ${line}\n`);
}

/** The directory with the machine's disk, made if this version of it is not there. */
async function diskOf(suite: string): Promise<string> {
  const version = createHash("sha256").update(readFileSync(IMAGE)).digest("hex").slice(0, 8);
  const dir = join(ROOT, "dist", "vm", `${suite}-${version}`);
  if (existsSync(join(dir, "root.img"))) return dir;
  say(`making a disk of Debian ${suite} in ${dir}`);
  const { exitCode } = Bun.spawnSync(["sh", IMAGE, suite, dir], { stdio: ["ignore", 1, 2] });
  if (exitCode !== 0) throw new Error(`${IMAGE} ended with ${exitCode}`);
  return dir;
}

function machine(dir: string, files: readonly string[]): string[] {
  const kernel = "root=/dev/vda rw console=ttyS0 quiet panic=-1 apparmor=0 selinux=0";
  const systemd = "systemd.show_status=0 systemd.wants=heddle-vm.service";
  return [
    ...["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"],
    // One instruction is a nanosecond, and an idle machine does not wait.
    ...["-icount", "shift=0,sleep=off", "-rtc", "clock=vm", "-cpu", "max", "-m", "3072"],
    ...["-kernel", join(dir, "vmlinuz"), "-initrd", join(dir, "initrd")],
    ...["-append", `${kernel} ${systemd} heddle.files=${files.join(",")}`],
    ...["-drive", `file=${join(dir, "root.img")},format=raw,if=virtio,snapshot=on`],
    ...["-virtfs", `local,path=${ROOT},mount_tag=checkout,security_model=none,readonly=on`],
    ...["-device", "virtio-rng-pci"],
  ];
}

/** The exit code of the tests, or null when the machine ended without one. */
async function run(command: string[]): Promise<number | null> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    process.stdout.write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  await child.exited;
  const ended = /^heddle-vm: exit (\d+)/m.exec(text);
  return ended === null ? null : Number(ended[1]);
}

async function main(words: readonly string[]): Promise<number> {
  for (const [command, name] of Object.entries(TOOLS)) {
    if (Bun.which(command) !== null) continue;
    say(
      `NOTHING WAS TESTED: ${command} is missing: apt-get install --no-install-recommends ${name}`,
    );
    return 1;
  }
  const suite = words.find((word) => SUITE.test(word)) ?? "bookworm";
  const named = words.filter((word) => !SUITE.test(word));
  const own = USUAL.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)].sort());
  const files = (named.length > 0 ? named : own).map((file) => `./${file.replace(/^\.\//, "")}`);
  const missing = files.find((file) => !existsSync(join(ROOT, file)));
  if (missing !== undefined) {
    say(`there is no ${missing}`);
    return 2;
  }
  const code = await run(machine(await diskOf(suite), files));
  if (code === null) say("FAILED: the machine ended before its tests did");
  return code ?? 1;
}

process.exit(await main(process.argv.slice(2)));
