// The command tree as commander knows it: help, completions and error lines all come from it.
// Commands are data (commands-*.ts); their code is loaded when they run.

import { Command, CommanderError, type Option } from "commander";
import type { CommandSpec } from "./command.ts";
import { auditCommands } from "./commands-audit.ts";
import { hostCommands } from "./commands-host.ts";
import { httpCommands } from "./commands-http.ts";
import { logCommands } from "./commands-log.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, EXIT_USAGE, Failure } from "./failure.ts";
import { DEFAULT_FABRIC, DEFAULT_NATS, fabricName, flag, natsUrl, nodeName } from "./flags.ts";

/** Runs one command line; answers with the exit code, throws what the command throws. */
export async function runProgram(deps: Deps, argv: readonly string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(deps, argv[0], (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    // Help and version end this way too; a wrong flag was already explained by `outputError`.
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
  return exitCode;
}

/** With `first` the name of a command only that one, which is what an agent waits for. */
function buildProgram(
  deps: Deps,
  first: string | undefined,
  finish: (exitCode: number) => void,
): Command {
  const program = new Command("heddle")
    .description("Container networking as a function of one ordered log of events.")
    .version(deps.version, "-V, --version", "print the version")
    .enablePositionalOptions()
    .addHelpText("after", AFTER_HELP);
  style(program, deps);
  for (const option of globalOptions()) program.addOption(option);
  program.action(() => {
    if (program.args.length === 0) {
      throw new Failure(EXIT_USAGE, "no command given: see heddle --help");
    }
    const words = JSON.stringify(program.args[0]);
    throw new Failure(EXIT_USAGE, `unknown command ${words}: see heddle --help`);
  });
  program.allowExcessArguments();
  const called = COMMANDS.filter(({ name }) => name.split(" ")[0] === first);
  for (const spec of called.length > 0 ? called : COMMANDS) addCommand(program, spec, deps, finish);
  addCompletion(program, deps);
  return program;
}

const COMMANDS = [...logCommands, ...httpCommands, ...auditCommands, ...hostCommands];

/**
 * The same flags are accepted before the command; environment forms count only once, on the
 * command.
 */
function globalOptions(): Option[] {
  return [
    flag({}, "--nats <url>", `NATS server (default: ${DEFAULT_NATS})`, natsUrl),
    flag({}, "--fabric <name>", `fabric (default: ${DEFAULT_FABRIC})`, fabricName),
    flag({}, "--node <name>", "node (default: the host name)", nodeName),
  ];
}

function addCommand(
  program: Command,
  spec: CommandSpec,
  deps: Deps,
  finish: (exitCode: number) => void,
): void {
  const { parent, words } = parentOf(program, spec.name, deps);
  const command = parent.command(words).description(spec.summary);
  style(command, deps);
  command.allowExcessArguments(false);
  for (const option of spec.options(deps.env)) command.addOption(option);
  const examples = spec.examples.map((example) => `  $ heddle ${example}`).join("\n");
  command.addHelpText("after", `\nExamples:\n${examples}`);
  command.action(async () => {
    const run = await spec.load();
    const flags = { ...FLAG_DEFAULTS, ...flagsOf(program, command) };
    finish(await run(deps, flags as never, command.args));
  });
}

/** Not in the tables: it prints the tree it is part of. */
function addCompletion(program: Command, deps: Deps): void {
  const command = program.command("completion <shell>");
  style(command, deps);
  command
    .allowExcessArguments(false)
    .description("completion script for bash, zsh or fish")
    .addHelpText("after", COMPLETION_EXAMPLES)
    .action(async (shell: string) => {
      const { completionScript } = await import("./completion.ts");
      deps.out.raw(completionScript(program, shell));
    });
}

const COMPLETION_EXAMPLES = `
Examples:
  $ heddle completion bash > /etc/bash_completion.d/heddle
  $ heddle completion zsh > "\${fpath[1]}/_heddle"
  $ heddle completion fish > ~/.config/fish/completions/heddle.fish`;

const FLAG_DEFAULTS = { nats: DEFAULT_NATS, fabric: DEFAULT_FABRIC };

/** `peer add <name>` hangs below `peer`, which is made when first met. */
function parentOf(program: Command, name: string, deps: Deps): { parent: Command; words: string } {
  const [first = "", second = ""] = name.split(" ");
  if (!/^[a-z]/.test(second)) return { parent: program, words: name };
  let parent = program.commands.find((command) => command.name() === first);
  if (parent === undefined) {
    parent = program.command(first).description(GROUPS[first] ?? "");
    style(parent, deps);
  }
  return { parent, words: name.slice(first.length + 1) };
}

const GROUPS: Readonly<Record<string, string>> = {
  peer: "foreign VTEPs: hardware, load balancers, other stacks",
  audit: "prove what the log held: keys, checkpoints, exports, proofs",
  lease: "subnets by hand: reserve, release, revoke",
  token: "who may use the HTTP hook: create, list, revoke",
};

/** Flags of the command, completed by those given before it. */
function flagsOf(program: Command, command: Command): Record<string, unknown> {
  const flags: Record<string, unknown> = { ...command.opts() };
  for (const [name, value] of Object.entries(program.opts())) {
    const known = command.options.some((option) => option.attributeName() === name);
    if (known && command.getOptionValueSource(name) !== "cli") flags[name] = value;
  }
  return flags;
}

function style(command: Command, deps: Deps): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => deps.out.raw(text),
    writeErr: (text) => {
      for (const line of text.trimEnd().split("\n")) deps.out.note(line);
    },
    // One line, whatever commander adds: "error: unknown option '--x'\n(Did you mean --y?)".
    outputError: (text, write) => {
      const line = text
        .trim()
        .replace(/^error: /, "")
        // A URL may carry a password, and one that is refused has it anywhere.
        .replace(/(--nats .*?(?:argument|value) ').*@(?=.* is invalid)/s, "$1…@")
        .replace(/\s*\n\s*/g, " ");
      write(`heddle: ${line}`);
    },
  });
}

const AFTER_HELP = `
Every flag has an environment form: --tls-ca is HEDDLE_TLS_CA. Times are ISO 8601 or how long ago
(10m, 2h); a plain number is a sequence of the log.
Exit codes: 0 ok, 1 degraded or failed, 2 usage, 3 agent or log unreachable.

Examples:
  $ heddle init --config net-conf.json
  $ heddle agent --iface eth0
  $ heddle status --wait
  $ heddle events --from 1h --follow
  $ heddle plan --node h1 --at 2026-01-31T14:03:00Z`;
