#!/bin/sh
# Runs the project's own Bun with the given arguments, wherever npm left the binary.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
. "$root/scripts/find-bun.sh"
if ! find_bun "$root"; then
  echo "bun: not set up: run \"npm run setup\" in $root first" >&2
  exit 1
fi
exec "$BUN" "$@"
