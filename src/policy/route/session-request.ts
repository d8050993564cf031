import type { CallRequest } from "../call.ts";

export type SessionProtocol = "TCP" | "UDP" | "TLS";

/**
 * A connection (of UDP: what one address sends) as the call machine is told of it: a request whose answer is the session's bytes. A class, so that no caller's
 * HTTP request can pass for one.
 */
export class SessionRequest implements CallRequest {
  readonly method: SessionProtocol;
  readonly scheme: string;
  /** The server name that a TLS client asks for, "" otherwise. */
  readonly authority: string;
  /** "db:5432": for people. */
  readonly path: string;
  readonly protocol = "";
  /** So that a recording of it is whole. */
  readonly fields: readonly string[];
  memo: unknown = null;
  /** The listener's name, or the service that it is for. */
  readonly listener: string;
  readonly port: number;

  constructor(protocol: SessionProtocol, listener: string, port: number, serverName = "") {
    this.method = protocol;
    this.scheme = protocol.toLowerCase();
    this.authority = serverName;
    this.listener = listener;
    this.port = port;
    this.fields = [LISTENER_FIELD, listener];
    this.path = `${serverName || listener}:${port}`;
  }
}

/** The session that a recording tells of; null when it is an HTTP request. */
export function recordedSession({
  method,
  scheme,
  authority,
  path,
  fields,
}: Omit<CallRequest, "memo">): SessionRequest | null {
  if (method !== "TCP" && method !== "UDP" && method !== "TLS") return null;
  if (scheme !== method.toLowerCase() || fields[0] !== LISTENER_FIELD) return null;
  return new SessionRequest(method, fields[1], Number(path.slice(path.lastIndexOf(":") + 1)), authority);
}

const LISTENER_FIELD = "weft-listener";
