// With what kind of LogError a call fails: "none" when it does not, the text of another error.

import { LogError } from "../../src/events/log.ts";

export async function kindOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return error instanceof LogError ? error.kind : String(error);
  }
}
