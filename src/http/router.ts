// A router whose inputs are checked by the schemas that document them; what does not fit is a
// problem that names the parameter or field and says what was expected.

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "./context.ts";
import { problem } from "./problem.ts";

const WHERE: Readonly<Record<string, string>> = {
  query: "query parameter",
  param: "path parameter",
  header: "header",
};

export function createRouter(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook: (result, c) => {
      if (result.success) return;
      const issue = result.error.issues[0];
      const path = issue?.path.join(".") ?? "";
      const where = WHERE[result.target] ?? "body";
      const at = path === "" ? where : `${where} ${path}`;
      return problem(c, 400, `${at}: ${issue?.message ?? "invalid"}`, { parameter: path });
    },
  });
}
