// The one way a command gives up: an exit code and one line for stderr.

export const EXIT_OK = 0;
/** Degraded, different, or not done. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** The agent or the log does not answer. */
export const EXIT_UNREACHABLE = 3;

export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Bad input: `at` names the flag, file, key or sequence at fault. */
export function misuse(at: string, reason: string): Failure {
  return new Failure(EXIT_USAGE, `${at}: ${reason}`);
}

/**
 * An error that is not a bug as code and line, or null. Matched by name: its class may not be
 * loaded.
 */
export function knownFailure(error: unknown): { exitCode: number; message: string } | null {
  if (error instanceof Failure) return { exitCode: error.exitCode, message: error.message };
  if (!(error instanceof Error)) return null;
  switch (error.name) {
    case "LogError": {
      const kind = "kind" in error ? error.kind : null;
      const away = kind === "unreachable" || kind === "missing" || kind === "refused";
      return { exitCode: away ? EXIT_UNREACHABLE : EXIT_FAILED, message: `log: ${error.message}` };
    }
    case "PastError": {
      const exitCode = "kind" in error && error.kind === "damaged" ? EXIT_FAILED : EXIT_USAGE;
      return { exitCode, message: error.message };
    }
    case "ListenError":
    case "HostTaken":
    case "NativeError":
    case "NetlinkError":
    case "NatsServerError":
      return { exitCode: EXIT_FAILED, message: error.message };
    default:
      return null;
  }
}
