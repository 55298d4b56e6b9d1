// Asks a shell for what it would offer at the end of a line, given heddle's completion script.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Shell = "bash" | "zsh" | "fish";

/** Says SKIPPED when the shell is not there; counted, so that a green run cannot hide it. */
export function requireShell(shell: Shell): boolean {
  if (Bun.which(shell) !== null) return true;
  process.stderr.write(`SKIPPED: completion in ${shell}: no ${shell} on this machine\n`);
  return false;
}

/** What is offered, sorted. */
export async function offered(
  shell: Shell,
  script: string,
  line: string,
): Promise<readonly string[]> {
  const dir = await mkdtemp(join(tmpdir(), "heddle-completion-"));
  try {
    await writeFile(join(dir, "_heddle"), script);
    await writeFile(join(dir, "setup"), ZSH_SETUP);
    const child = Bun.spawn(commands[shell](dir, line), { stdout: "pipe", stdin: "ignore" });
    const text = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) throw new Error(`${shell}: ${child.exitCode}`);
    const written = shell === "zsh" ? await readFile(join(dir, "offered"), "utf8") : text;
    const names = written.split("\n").map((each) => each.split("\t")[0] ?? "");
    return [...new Set(names.filter((name) => name !== ""))].sort();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const BASH = `. "$0/_heddle"; COMP_WORDS=($1); [ "$1" = "\${1% }" ] || COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _heddle; printf '%s\\n' "\${COMPREPLY[@]}"`;

/** What a zsh at a terminal reads first: matches are written down on their way to the screen. */
const ZSH_SETUP = String.raw`dir=$1
fpath=($dir $fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word
compadd() {
  local options="$@[1,(i)(-|--)]"
  if [[ $options != *-(O|A|D)\ * ]]; then
    local -a hits; builtin compadd -A hits "$@"; print -rl -- $hits >> $dir/offered
  fi
  builtin compadd "$@"
}
finish() { print -r >> $dir/offered; print > $dir/finished; print }
zle -N finish; bindkey '^X' finish
`;
const ZSH = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell ". $1/setup $1"
zpty -n -w shell "$2"$'\\t\\x18'
while [[ ! -e $1/finished ]]; do zpty -r shell out; done
zpty -d shell`;

const commands: {
  readonly [S in Shell]: (dir: string, line: string) => readonly string[] & string[];
} = {
  bash: (dir, line) => ["bash", "-c", BASH, dir, line],
  zsh: (dir, line) => ["zsh", "-f", "-c", ZSH, "zsh", dir, line],
  fish: (dir, line) => [
    ...["fish", "--no-config", "-c"],
    ...["source $argv[1]/_heddle; complete -C $argv[2]", dir, line],
  ],
};
