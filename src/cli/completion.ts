// heddle completion: scripts for bash, zsh and fish, made from the command tree itself, so that a
// command or flag that exists is completed and nothing else is.

import type { Command } from "commander";
import { misuse } from "./failure.ts";

/** One command with its words: [] is the program itself, ["peer", "add"] a command below it. */
interface Entry {
  readonly path: readonly string[];
  readonly summary: string;
  readonly children: readonly { readonly name: string; readonly summary: string }[];
  readonly flags: readonly {
    readonly name: string;
    readonly summary: string;
    takesValue: boolean;
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
      : [{ name: option.long, summary: option.description, takesValue: option.required }],
  );
  const help = { name: "--help", summary: "display help for command", takesValue: false };
  const entry = { path, summary: command.description(), children, flags: [...flags, help] };
  const below = command.commands.flatMap((child) => entriesOf(child, [...path, child.name()]));
  return [entry, ...below];
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
complete -F _heddle heddle
`;
}

function commandPaths(entries: readonly Entry[]): readonly string[] {
  return entries.filter(({ path }) => path.length > 0).map(({ path }) => path.join(":"));
}

const FILES = [
  "--config",
  "--creds",
  "--nkey",
  "--socket",
  "--subnet-file",
  "--state-dir",
  "--webhook-key",
];

function fileFlags(entries: readonly Entry[]): readonly string[] {
  const all = new Set(entries.flatMap(({ flags }) => flags.map(({ name }) => name)));
  return [...all].filter((name) => FILES.includes(name) || name.startsWith("--tls-"));
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
  _describe heddle items
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

function fishScript(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const condition = fishCondition(entry);
    const quote = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
    return [
      ...entry.children.map(
        ({ name, summary }) =>
          `complete -c heddle -f -n ${quote(condition)} -a ${name} -d ${quote(summary)}`,
      ),
      ...entry.flags.map(({ name, summary, takesValue }) => {
        const value = takesValue ? (FILES.includes(name) ? " -r -F" : " -x") : " -f";
        const flag = `-l ${name.slice(2)}${value} -d ${quote(summary)}`;
        return `complete -c heddle -n ${quote(condition)} ${flag}`;
      }),
    ];
  });
  return `# fish completion for heddle\n${lines.join("\n")}\n`;
}

function fishCondition({ path, children }: Entry): string {
  if (path.length === 0) return "__fish_use_subcommand";
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
  if (children.length === 0) return seen;
  const deeper = children.map(({ name }) => name).join(" ");
  return `${seen}; and not __fish_seen_subcommand_from ${deeper}`;
}
