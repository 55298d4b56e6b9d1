// heddle resume: a person has looked at why the agent froze and takes the log as it is for the
// truth.

import { askAgent } from "./agent-client.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import { socketPath } from "./paths.ts";

export async function resume(
  deps: Deps,
  flags: { readonly fabric: string; readonly socket?: string },
): Promise<number> {
  await askAgent(socketPath(flags), "POST", "/v1/resume");
  deps.out.line("resumed: the agent reads the log again from its first record");
  return EXIT_OK;
}
