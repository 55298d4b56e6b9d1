# Sourced, never run: find_bun ROOT sets BUN to the project's Bun, or returns 1.
# The npm package `bun` moves the real binary into place in its install script. Where npm did not
# run that script, node_modules/.bin/bun is a short stub and the binary stays in @oven/bun-linux-*.
# Reading the first bytes tells the two apart without a fork, so the launcher stays cheap.

is_elf() {
  [ -x "$1" ] && IFS= read -r magic <"$1" && case $magic in *ELF*) return 0 ;; esac
  return 1
}

find_bun() {
  BUN=$1/node_modules/.bin/bun
  is_elf "$BUN" && return 0
  cpu=$(uname -m)
  [ "$cpu" = x86_64 ] && cpu=x64
  # Bun's default x64 build needs AVX2; the baseline build does not.
  names="$cpu $cpu-baseline"
  [ "$cpu" = x64 ] && ! grep -qw avx2 /proc/cpuinfo && names=x64-baseline
  for name in $names; do
    for suffix in "" -musl; do
      BUN=$1/node_modules/@oven/bun-linux-$name$suffix/bin/bun
      is_elf "$BUN" && return 0
    done
  done
  return 1
}
