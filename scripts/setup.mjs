#!/usr/bin/env node
// Makes a fresh machine ready: npm packages from the lock file, then the system's own tools from
// its package manager, then the C of the packet path. Plain JavaScript for Node.js 20, because
// nothing else is there yet. It installs only what is lacking, so the second time it looks, finds
// everything and says one line. It needs neither git nor a terminal, and downloads nothing but
// packages.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installCommand, missingTools, packagesFor } from "./system-tools.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR_MIN = 20;
const OUTPUT_LINES_MAX = 25;
const BROWSER = "chromium";

function say(text) {
  process.stdout.write(`setup: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`setup: ${text}\n`);
  process.exit(1);
}

/** Runs a command without a stdin and keeps what it says. */
function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  const output = result.error?.message ?? `${result.stdout}${result.stderr}`;
  return { ok: result.status === 0, output: output.trim() };
}

/** npm, apt and make say what is wrong first, and then repeat it or print their manual. */
function failed(what, commandLine, output) {
  const said = output.split("\n").filter((line) => line !== "");
  const lines = [`${what} could not be made ready, "${commandLine.join(" ")}" said:`];
  fail([...lines, ...said.slice(0, OUTPUT_LINES_MAX)].join("\n"));
}

function lockedPackages(file) {
  if (!existsSync(file)) return {};
  return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
}

/**
 * True if node_modules holds what the lock file names. npm writes node_modules/.package-lock.json
 * as its last step, so an interrupted installation is not taken for a complete one. Contents are
 * compared and not times, because a copy or a checkout gives files any time it likes.
 */
function isInstalled() {
  const wanted = lockedPackages(join(ROOT, "package-lock.json"));
  const found = lockedPackages(join(ROOT, "node_modules", ".package-lock.json"));
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const have = found[path];
    if (have === undefined && entry.optional) continue;
    if (have?.version !== entry.version || have?.integrity !== entry.integrity) return false;
    if (!existsSync(join(ROOT, path, "package.json"))) return false;
  }
  return Object.keys(found).every((path) => path in wanted);
}

function ensureNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < NODE_MAJOR_MIN) {
    fail(`Node.js ${NODE_MAJOR_MIN} or newer is needed, this is ${process.versions.node}`);
  }
  if (process.platform !== "linux") fail(`Heddle runs on Linux, this is ${process.platform}`);
}

function ensurePackages() {
  if (isInstalled()) return false;
  say("installing npm packages from package-lock.json (npm ci)");
  // npm's own patience with a registry that does not answer is more than a minute of silence.
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const retry = ["--fetch-retry-mintimeout=2000", "--fetch-retry-maxtimeout=8000"];
  const commandLine = ["npm", "ci", ...quiet, ...retry];
  const installed = run(commandLine[0], commandLine.slice(1));
  if (!installed.ok) failed("npm packages", commandLine, installed.output);
  return true;
}

function bunRuns() {
  return run("sh", [join(ROOT, "scripts", "bun.sh"), "--version"]).ok;
}

/** Where npm blocked install scripts Bun is found in place; a rebuild is the second way. */
function ensureBun() {
  if (bunRuns()) return false;
  say("repairing Bun (npm rebuild bun)");
  const repaired = run("npm", ["rebuild", "bun", "--loglevel=error"]);
  if (bunRuns()) return true;
  return fail(
    `Bun does not run on this machine (${process.arch}, glibc 2.17 or newer needed). ` +
      `npm said: ${repaired.output || "nothing"}`,
  );
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "EACCES" || error.code === "ENOTDIR")
      return false;
    throw error;
  }
}

/** Debian keeps sbin out of a user's PATH, but that is where ip and nft live. */
function hasCommand(name) {
  if (name.startsWith("/")) return existsSync(name);
  const dirs = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return dirs.some((dir) => dir !== "" && isExecutable(join(dir, name)));
}

/**
 * A package list that cannot be refreshed is no failure yet: one broken source of many says so
 * too, and the packages may be known. If they are not, what the refresh said is the reason.
 */
function installTools({ refresh, install }, packages) {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const refreshed = refresh === null ? "" : run(refresh[0], refresh.slice(1), env).output;
  const commandLine = [...install, ...packages];
  const installed = run(commandLine[0], commandLine.slice(1), env);
  if (installed.ok) return;
  failed("system packages", commandLine, `${refreshed}\n${installed.output}`);
}

function ensureTools() {
  const missing = missingTools(hasCommand);
  if (missing.length === 0) return false;
  const commands = missing.map((tool) => tool.command).join(", ");
  const install = installCommand(hasCommand);
  if (install === null) {
    return fail(`no apt-get, dnf, apk or pacman here; install what provides: ${commands}`);
  }
  const packages = packagesFor(missing, install.manager);
  if (process.getuid() !== 0) {
    const byHand = [install.refresh, [...install.install, ...packages]].filter(Boolean);
    const lines = byHand.map((line) => line.join(" ")).join(" && ");
    return fail(`missing: ${commands}. Run "npm run setup" as root, or: ${lines}`);
  }
  say(`installing ${packages.join(" ")} (for ${commands})`);
  if (packages.includes("nats-server") && existsSync("/run/systemd/system")) {
    say(
      "note: the package may start a nats-server of its own on 127.0.0.1:4222; nothing here needs",
    );
    say('it, so if it is in your way: "systemctl disable --now nats-server"');
  }
  installTools(install, packages);
  const still = missingTools(hasCommand).map((tool) => tool.command);
  if (still.length > 0) fail(`installed, but still missing: ${still.join(", ")}`);
  return true;
}

/**
 * The browser in which the tests open the web page; nothing else needs it, and not every
 * distribution has it as a package. Without it those tests say that they were skipped.
 */
function ensureBrowser() {
  if (!process.argv.includes("--browser") || hasCommand(BROWSER)) return false;
  const install = installCommand(hasCommand);
  if (install === null || process.getuid() !== 0) {
    say(`no ${BROWSER}: the tests of the web page will be skipped`);
    return false;
  }
  say(`installing ${BROWSER} (for the tests of the web page)`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  if (install.refresh !== null) run(install.refresh[0], install.refresh.slice(1), env);
  const [command, ...args] = [...install.install, BROWSER];
  const { ok, output } = run(command, args, env);
  if (ok && hasCommand(BROWSER)) return true;
  const reason = output.split("\n").find((line) => line !== "") ?? "nothing";
  say(`${BROWSER} could not be installed (${reason}): the tests of the web page will be skipped`);
  return false;
}

/** The packet path of the udp backend; make is quick when nothing changed. */
function ensurePacketPath() {
  const commandLine = ["make", "-C", "native"];
  // With -q make says by its exit code whether there is anything to do.
  if (run("make", ["-q", ...commandLine.slice(1)]).ok) return false;
  say("building the packet path (npm run build:native)");
  const built = run(commandLine[0], commandLine.slice(1));
  if (!built.ok) failed("the packet path", commandLine, built.output);
  return true;
}

ensureNode();
const changes = [ensurePackages(), ensureBun(), ensureTools(), ensureBrowser(), ensurePacketPath()];
say(changes.some(Boolean) ? "done" : "everything is in place");
