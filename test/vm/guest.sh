#!/bin/sh
# The machine's side of scripts/test-vm.ts: makes the checkout, which is mounted read-only, writable
# in memory, runs the test files that the kernel's command line names, and says how that ended.
set -u
files=$(sed -n 's/.*heddle\.files=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' ')
mkdir -p /run/upper /heddle
mount -t tmpfs -o size=50% upper /run/upper
mkdir /run/upper/data /run/upper/work
mount -t overlay -o lowerdir=/host,upperdir=/run/upper/data,workdir=/run/upper/work checkout /heddle
cd /heddle || exit 1
export HOME=/root HEDDLE_VM=1 NO_COLOR=1
. /etc/os-release
echo "$PRETTY_NAME, Linux $(uname -r), $(systemctl --version | head -1)"
# Emulated, everything takes ten times as long.
# shellcheck disable=SC2086
sh scripts/bun.sh test --timeout=600000 $files
echo "heddle-vm: exit $?"
