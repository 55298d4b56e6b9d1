// The program's log: one line per fact on stderr, for people or as JSON. Field names are the same
// in both and everywhere: ts level msg, then node fabric seq noun key op errno reason ms and the
// like.

import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import type { Fields, Logger } from "../agent/logger.ts";
import { jsonText, type Output, printable } from "./output.ts";

export type LogLevel = "debug" | "info" | "warning" | "error";
export type LogFormat = "human" | "json";

/** Configures the log once per process. `fixed` fields are on every line. */
export function openLogger(
  out: Output,
  options: { readonly level: LogLevel; readonly format: LogFormat; readonly fixed: Fields },
): Logger {
  const line = options.format === "json" ? jsonLine : humanLine;
  configureSync({
    sinks: { stderr: (record) => out.note(line(record)) },
    loggers: [
      { category: "heddle", sinks: ["stderr"], lowestLevel: options.level },
      // The library's own words come only when a sink fails.
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
    reset: true,
  });
  // The human form leaves out what is the same on every line of one agent.
  const fixed = options.format === "json" ? options.fixed : {};
  const logger = getLogger("heddle").with({ ...fixed });
  const isDebugged = logger.isEnabledFor("debug");
  return {
    debug: (message, fields = {}) => {
      // The library finds that out anew for each line: 25 us of an event on its way to the kernel.
      if (isDebugged) logger.debug(message, { ...fields });
    },
    info: (message, fields = {}) => logger.info(message, { ...fields }),
    warn: (message, fields = {}) => logger.warn(message, { ...fields }),
    error: (message, fields = {}) => logger.error(message, { ...fields }),
  };
}

/** Messages are constants with no place-holders: the raw text is the text. */
function textOf({ rawMessage }: LogRecord): string {
  return typeof rawMessage === "string" ? rawMessage : rawMessage.join("");
}

function jsonLine(record: LogRecord): string {
  const ts = new Date(record.timestamp).toISOString();
  const head = { ts, level: record.level, msg: textOf(record) };
  return jsonText({ ...head, ...record.properties });
}

function humanLine(record: LogRecord): string {
  const ts = new Date(record.timestamp).toISOString();
  const fields = Object.entries(record.properties)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${fieldText(value)}`);
  return [ts, record.level.toUpperCase().padEnd(7), textOf(record), ...fields].join(" ");
}

function fieldText(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /[\s"=]/.test(text) || text === "" ? JSON.stringify(printable(text)) : text;
}
