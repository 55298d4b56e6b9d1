// The commands Heddle, its build, its tests and its demo call, and the package that brings each of
// them, per package manager. A table and three pure functions: what exists on the machine is asked
// through `has`, which takes a file's path as well as a command's name. Debian and Ubuntu are
// tested; the others are a best effort.

// A row without a name for a manager takes the Debian one.
const TOOLS = [
  { command: "nats-server", apt: "nats-server" },
  { command: "ip", apt: "iproute2", dnf: "iproute" },
  { command: "bridge", apt: "iproute2", dnf: "iproute" },
  { command: "ping", apt: "iputils-ping", dnf: "iputils", apk: "iputils", pacman: "iputils" },
  { command: "nft", apt: "nftables" },
  { command: "tcpdump", apt: "tcpdump" },
  { command: "iperf3", apt: "iperf3" },
  { command: "setpriv", apt: "util-linux", apk: "setpriv" },
  { command: "unshare", apt: "util-linux" },
  { command: "curl", apt: "curl" },
  { command: "openssl", apt: "openssl" },
  { command: "ps", apt: "procps", dnf: "procps-ng", pacman: "procps-ng" },
  { command: "make", apt: "make" },
  { command: "gcc", apt: "gcc" },
  // A compiler comes without the C library's headers where recommendations are not followed.
  {
    command: "/usr/include/stdio.h",
    apt: "libc6-dev",
    dnf: "glibc-devel",
    apk: "musl-dev",
    pacman: "glibc",
  },
];

const MANAGERS = [
  {
    manager: "apt",
    command: "apt-get",
    refresh: ["apt-get", "update", "-qq"],
    // Another apt may be at work: a fresh cloud machine runs its own upgrades.
    install: [
      "apt-get",
      "install",
      "-y",
      "-qq",
      "--no-install-recommends",
      "-o",
      "DPkg::Lock::Timeout=120",
    ],
  },
  { manager: "dnf", command: "dnf", refresh: null, install: ["dnf", "install", "-y", "-q"] },
  { manager: "apk", command: "apk", refresh: null, install: ["apk", "add", "--no-cache"] },
  {
    manager: "pacman",
    command: "pacman",
    refresh: null,
    install: ["pacman", "-Sy", "--noconfirm", "--needed"],
  },
];

/** @param {(command: string) => boolean} has */
export function missingTools(has) {
  return TOOLS.filter((tool) => !has(tool.command));
}

/** The first package manager this machine has, or null. */
export function installCommand(has) {
  return MANAGERS.find((candidate) => has(candidate.command)) ?? null;
}

/** Package names without repetition, in the order of the table. */
export function packagesFor(tools, manager) {
  return [...new Set(tools.map((tool) => tool[manager] ?? tool.apt))];
}
