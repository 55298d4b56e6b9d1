// heddle completion: scripts for bash, zsh and fish, made from the command tree itself, so that a
// command or flag that exists is completed and nothing else is.

import type { Command, Option } from "commander";
import { misuse } from "./failure.ts";

/** One command with its words: [] is the program itself, ["peer", "add"] a command below it. */
interface Entry {
  readonly path: readonly string[];
  readonly summary: string;
  readonly children: readonly { readonly name: string; readonly summary: string }[];
  readonly flags: readonly {
    readonly name: string;
    readonly summary: string;
    readonly value: "none" | "file" | "other";
  }[];
}

/** The script; throws Failure for a shell that is not known. */
export function completionScript(program: Command, shell: string): string {
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
  if (!Object.hasOwn(scripts, shell)) {
    throw misuse(`<shell> ${JSON.stringify(shell)}`, "expected bash, zsh or fish");
  }
  return scripts[shell as keyof typeof scripts](entriesOf(program, []));
}

function entriesOf(command: Command, path: readonly string[]): readonly Entry[] {
  const children = command.commands.map((child) => ({
    name: child.name(),
    summary: child.description(),
  }));
  const flags = command.options.flatMap((option) =>
    option.long === undefined || option.long === null
      ? []
      : [{ name: option.long, summary: option.description, value: takenBy(option) }],
  );
  const help = { name: "--help", summary: "display help for command", value: "none" as const };
  const entry = { path, summary: command.description(), children, flags: [...flags, help] };
  const below = command.commands.flatMap((child) => entriesOf(child, [...path, child.name()]));
  return [entry, ...below];
}

/** The help says what a flag takes: `--creds <file>`. */
function takenBy({ flags, required }: Option): "none" | "file" | "other" {
  if (!required) return "none";
  return /<(files?|dir|path)>/.test(flags) ? "file" : "other";
}

/** The command words before the cursor select the entry; flags and their values are passed over. */
function bashScript(entries: readonly Entry[]): string {
  const cases = entries.map(({ path, children, flags }) => {
    const words = [...children.map(({ name }) => name), ...flags.map(({ name }) => name)];
    return `    "${path.join(" ")}") words="${words.join(" ")}" ;;`;
  });
  return `# bash completion for heddle
_heddle() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" words="" i=1 word
  local commands=" ${commandPaths(entries).join(" ")} "
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[i]}"
    case "$commands" in
      *" \${path:+\${path// /:}:}$word "*) path="\${path:+$path }$word" ;;
    esac
    i=$((i + 1))
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    ${fileFlags(entries).join("|")}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _heddle heddle
`;
}

function commandPaths(entries: readonly Entry[]): readonly string[] {
  return entries.filter(({ path }) => path.length > 0).map(({ path }) => path.join(":"));
}

function fileFlags(entries: readonly Entry[]): readonly string[] {
  const flags = entries.flatMap((entry) => entry.flags).filter(({ value }) => value === "file");
  return [...new Set(flags.map(({ name }) => name))];
}

/** Not `path`: that is PATH in zsh. */
function zshScript(entries: readonly Entry[]): string {
  const cases = entries.map(({ path, children, flags }) => {
    const items = [...children, ...flags].map(
      ({ name, summary }) => `'${name}:${zshText(summary)}'`,
    );
    return `    "${path.join(" ")}") items=(${items.join(" ")}) ;;`;
  });
  return `#compdef heddle
_heddle() {
  local at="" word
  local -a items
  local commands=" ${commandPaths(entries).join(" ")} "
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ "$commands" == *" \${at:+\${at// /:}:}$word "* ]]; then
      at="\${at:+$at }$word"
    fi
  done
  case "\${words[CURRENT-1]}" in
    ${fileFlags(entries).join("|")}) _files; return ;;
  esac
  case "$at" in
${cases.join("\n")}
  esac
  _describe heddle items || _files
}
if [ "$funcstack[1]" = "_heddle" ]; then
  _heddle "$@"
else
  compdef _heddle heddle
fi
`;
}

/** A colon separates name and text in _describe. */
function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(":", "\\:");
}

/** fish's own __fish_seen_subcommand_from takes the value of a flag for the end of the flags. */
function fishScript(entries: readonly Entry[]): string {
  const quote = (text: string): string =>
    `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const value = { none: "-f", file: "-r -F", other: "-x" } as const;
  const lines = entries.flatMap(({ path, children, flags }) => {
    const at = `complete -c heddle -n ${quote(`__heddle_at ${path.join(" ")}`.trimEnd())}`;
    return [
      ...children.map(({ name, summary }) => `${at} -f -a ${name} -d ${quote(summary)}`),
      ...flags.map(
        (flag) => `${at} -l ${flag.name.slice(2)} ${value[flag.value]} -d ${quote(flag.summary)}`,
      ),
    ];
  });
  return `# fish completion for heddle
function __heddle_at
  set -l commands ${commandPaths(entries).join(" ")}
  set -l words (commandline -opc)
  set -l at
  for word in $words[2..-1]
    contains -- (string join -- : $at $word) $commands; and set at $at $word
  end
  test "$at" = "$argv"
end
${lines.join("\n")}
`;
}
