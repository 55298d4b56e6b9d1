// Sorts what the NATS client throws into the port's five kinds. The client names its errors after
// what it saw, not after what happened: no responders is "jetstream is not enabled", whether the
// stream is missing, has no leader for a moment, or the subject is nobody's.

import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import {
  AuthorizationError,
  InvalidArgumentError,
  NoRespondersError,
  PermissionViolationError,
  UserAuthenticationExpiredError,
} from "@nats-io/nats-core";
import { LogError, type LogErrorKind } from "./log.ts";

const SERVER_UNAVAILABLE = 503;

export function logErrorFrom(error: unknown): LogError {
  if (error instanceof LogError) return error;
  const root = rootOf(error);
  return new LogError(kindOf(root), messageOf(root), { cause: error });
}

/**
 * Conflicts of an expected sequence: 10164 when another write on the subject is in flight (2.15).
 */
export function isWrongLastSequence(error: unknown): boolean {
  if (error instanceof LogError) return isWrongLastSequence(error.cause);
  if (!(error instanceof JetStreamApiError)) return false;
  return (
    error.code === JetStreamApiCodes.StreamWrongLastSequence ||
    error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown
  );
}

/** RequestError and JetStreamNotEnabled only wrap what happened. */
function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) {
    if (root.name !== "RequestError" && root.name !== "JetStreamNotEnabled") break;
    root = root.cause;
  }
  return root;
}

function kindOf(error: unknown): LogErrorKind {
  if (
    error instanceof PermissionViolationError ||
    error instanceof AuthorizationError ||
    error instanceof UserAuthenticationExpiredError ||
    error instanceof InvalidArgumentError
  ) {
    return "refused";
  }
  if (!(error instanceof JetStreamApiError)) return "unreachable";
  switch (error.code) {
    case JetStreamApiCodes.StreamNotFound:
      return "missing";
    case JetStreamApiCodes.ConsumerNotFound:
      return "unreachable";
    case JetStreamApiCodes.JetStreamNotEnabledForAccount:
      return "unsupported";
    default:
      return error.status === SERVER_UNAVAILABLE ? "unreachable" : "refused";
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  if (error instanceof NoRespondersError) {
    return "JetStream does not answer: is it enabled on the server?";
  }
  return error.message;
}
