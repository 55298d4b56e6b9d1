// What two folded states are compared by: a table that was filled in another way says the same.

import { eachEndpoint } from "../../src/events/endpoints.ts";
import type { FabricState } from "../../src/events/state.ts";

export function contentOf(state: Readonly<FabricState>) {
  return { ...state, endpoints: [...eachEndpoint(state.endpoints)] };
}
