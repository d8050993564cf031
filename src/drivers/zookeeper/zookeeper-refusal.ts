import { type Code, WeftError } from "../../core/errors.ts";
import { REFUSED } from "./zookeeper-messages.ts";

/** What ZooKeeper refuses, as its clients are told. */
export function refusalOf(code: number, address: string, what: string): WeftError {
  const { code: kind, reason, text } = KNOWN[code] ?? UNKNOWN;
  const where = `ZooKeeper at ${address} refuses ${what}`;
  // What is refused for its session is not carried out, and can be asked by the next.
  const retryable = code === REFUSED.sessionExpired || code === REFUSED.sessionMoved;
  return new WeftError(kind, `${where}: ${text} (${code})`, { reason, retryable });
}

/** The connection is gone, or could not be made: by another one it may work. */
export function lostError(address: string, why: string, cause?: unknown): WeftError {
  const text = `the connection to ZooKeeper at ${address} ${why}`;
  return new WeftError("unavailable", text, {
    reason: "ZOOKEEPER_LOST",
    retryable: true,
    ...(cause !== undefined && { cause }),
  });
}

/** A change was sent and its answer never came. */
export function unknownOutcome(cause: WeftError): WeftError {
  const text = `${cause.message}; whether the change was made is not known`;
  return new WeftError("unavailable", text, { reason: "OUTCOME_UNKNOWN", cause });
}

interface Known {
  readonly code: Code;
  readonly reason: string;
  readonly text: string;
}

const KNOWN: Readonly<Record<number, Known>> = {
  [REFUSED.unimplemented]: {
    code: "failed_precondition",
    reason: "ZOOKEEPER_TOO_OLD",
    text: "it does not know how; ZooKeeper 3.6 or later is wanted",
  },
  [REFUSED.noAuth]: {
    code: "permission_denied",
    reason: "ZOOKEEPER_DENIED",
    text: "the node's access list does not allow it; log in with zookeeper://USER:PASSWORD@HOST as who made it, or choose another prefix",
  },
  [REFUSED.authFailed]: {
    code: "unauthenticated",
    reason: "ZOOKEEPER_LOGIN_REFUSED",
    text: "the login is refused; check user and password",
  },
  [REFUSED.sessionExpired]: { code: "unavailable", reason: "SESSION_EXPIRED", text: "the session is over" },
  [REFUSED.sessionMoved]: {
    code: "unavailable",
    reason: "SESSION_MOVED",
    text: "the session is on another server by now",
  },
  [REFUSED.noNode]: {
    code: "failed_precondition",
    reason: "NODE_GONE",
    text: "a node that belongs there is not there",
  },
  [-4]: { code: "unavailable", reason: "ZOOKEEPER_BUSY", text: "it lost its connection to the others" },
  [-122]: { code: "unavailable", reason: "ZOOKEEPER_BUSY", text: "it took too long" },
  [-125]: { code: "resource_exhausted", reason: "ZOOKEEPER_QUOTA", text: "a quota is used up" },
};
const UNKNOWN: Known = { code: "internal", reason: "ZOOKEEPER_REFUSED", text: "an error that is not expected" };
