// A command as data: its flags, its words for help, and where its code is.

import type { Option } from "commander";
import type { Deps } from "./deps.ts";
import type { Env } from "./flags.ts";

/** What a command's file exports: flags as commander names them, and the arguments in order. */
export type Run<F> = (deps: Deps, flags: F, args: readonly string[]) => Promise<number>;

export interface CommandSpec {
  /** Words and arguments: `peer add <name>`. */
  readonly name: string;
  readonly summary: string;
  /** Made only for the command that is called: all of them take longer than most commands. */
  readonly options: (env: Env) => readonly Option[];
  readonly examples: readonly string[];
  readonly load: () => Promise<Run<never>>;
}
