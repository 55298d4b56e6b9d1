// Schemas that are loaded when they are first needed. Making them takes an agent as long as ten
// events, and a third of the heap it starts with; most agents never meet what needs them. It has to
// be at once, so it cannot be an `import()`: who decodes a record cannot wait.

/** Of events whose data has not the plain form. */
export function eventSchemas(): typeof import("./event-schema.ts").eventData {
  // biome-ignore lint/style/noRestrictedGlobals: see above; the bundler makes it a file of its own.
  const { eventData } = require("./event-schema.ts");
  return eventData;
}

/** Of everything else that others write. */
export function messageSchemas(): typeof import("./message-schema.ts").messageSchemas {
  // biome-ignore lint/style/noRestrictedGlobals: as above.
  const { messageSchemas: schemas } = require("./message-schema.ts");
  return schemas;
}
