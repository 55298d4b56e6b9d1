// From flags to a connected log, and back: every command that reads or writes the log goes through
// `withLog`, which closes the connection however the command ends.

import { accessSync, constants } from "node:fs";
import { LogError } from "../events/log.ts";
import type { LogConnection, LogOptions } from "../events/log-jetstream.ts";
import type { Deps } from "./deps.ts";
import { EXIT_UNREACHABLE, Failure, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

/** Throws Failure when a file that a flag names cannot be read. */
export function logOptions(flags: LogFlags): LogOptions {
  const { creds, nkey, tlsCa, tlsCert, tlsKey } = flags;
  for (const [flag, file] of Object.entries({ creds, nkey, tlsCa, tlsCert, tlsKey })) {
    if (file !== undefined) refuseUnreadable(flag, file);
  }
  const tls = {
    ...(tlsCa === undefined ? {} : { caFile: tlsCa }),
    ...(tlsCert === undefined ? {} : { certFile: tlsCert }),
    ...(tlsKey === undefined ? {} : { keyFile: tlsKey }),
  };
  return {
    servers: flags.nats.split(","),
    fabric: flags.fabric,
    name: "heddle",
    ...(creds === undefined ? {} : { credsFile: creds }),
    ...(nkey === undefined ? {} : { nkeyFile: nkey }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

function refuseUnreadable(name: string, file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const flag = `--${name.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
    throw misuse(`${flag} ${file}`, `cannot be read (${code})`);
  }
}

export async function withLog<T>(
  deps: Deps,
  flags: LogFlags,
  work: (connection: LogConnection) => Promise<T>,
): Promise<T> {
  const connection = await deps.connectLog(logOptions(flags));
  try {
    return await work(connection);
  } catch (error) {
    if (error instanceof LogError && error.kind === "missing") {
      const advice = "make it with `heddle init`";
      const message = `fabric ${flags.fabric} has no log on this server; ${advice}`;
      throw new Failure(EXIT_UNREACHABLE, message, { cause: error });
    }
    throw error;
  } finally {
    await connection.close();
  }
}
