import { CONNECTION_FIELDS, forEachToken } from "./fields.ts";
import { parseLength } from "./grammar.ts";
import { MessageError } from "./message-error.ts";

/** What the fields of a received head say about the message's length and the connection, and the fields that are left for upper layers. */
export interface Framing {
  /** Without those that concern the connection. */
  readonly fields: string[];
  /** -1: no content-length. */
  readonly contentLength: number;
  readonly chunked: boolean;
  /** Connection: close, keep-alive. */
  readonly close: boolean;
  readonly keepAlive: boolean;
  /** The Keep-Alive field's time-out, ms; Infinity when it has none. */
  readonly keepAliveTimeoutMs: number;
  /** Connection names "upgrade" and Upgrade asks for (or grants) "websocket". */
  readonly websocket: boolean;
  /** TE: trailers. */
  readonly trailers: boolean;
  /** The Host field; undefined when there is none. */
  readonly host: string | undefined;
  readonly expect: string | undefined;
}

/**
 * RFC 9112 section 6 without its liberties: both lengths, repeated lengths, codings other than "chunked" alone, and transfer-encoding in
 * an HTTP/1.0 message are refused, since two recipients may disagree about where such a message ends (request smuggling).
 */
export function readFraming(raw: readonly string[], minor: number): Framing {
  let contentLength = -1;
  let chunked = false;
  let close = false;
  let keepAlive = false;
  let keepAliveTimeoutMs = Number.POSITIVE_INFINITY;
  let connectionUpgrade = false;
  let upgradeWebsocket = false;
  let trailers = false;
  let host: string | undefined;
  let expect: string | undefined;
  const named = new Set<string>();

  for (let i = 0; i < raw.length; i += 2) {
    const value = raw[i + 1];
    switch (raw[i]) {
      case "content-length":
        if (contentLength >= 0) throw new MessageError(400, "more than one content-length");
        contentLength = parseLength(value);
        if (contentLength < 0) throw new MessageError(400, "content-length is not a number");
        break;
      case "transfer-encoding":
        if (chunked) throw new MessageError(400, "more than one transfer-encoding");
        if (minor === 0) throw new MessageError(400, "transfer-encoding in an HTTP/1.0 message");
        if (value.toLowerCase() !== "chunked") throw codingError(value);
        chunked = true;
        break;
      case "connection":
        forEachToken(value, (token) => {
          if (token === "close") close = true;
          else if (token === "keep-alive") keepAlive = true;
          else if (token === "upgrade") connectionUpgrade = true;
          else named.add(token);
        });
        break;
      case "keep-alive": {
        const seconds = /(?:^|[\s,])timeout=(\d{1,7})(?:$|[\s,])/i.exec(value);
        if (seconds !== null) keepAliveTimeoutMs = Number(seconds[1]) * 1_000;
        break;
      }
      case "upgrade":
        forEachToken(value, (token) => {
          if (token === "websocket") upgradeWebsocket = true;
        });
        break;
      case "te":
        forEachToken(value, (token) => {
          if (token === "trailers") trailers = true;
        });
        break;
      case "host":
        if (host !== undefined) throw new MessageError(400, "more than one host field");
        host = value;
        break;
      case "expect":
        if (expect !== undefined) throw new MessageError(400, "more than one expect field");
        expect = value.toLowerCase();
        break;
    }
  }
  if (chunked && contentLength >= 0) throw new MessageError(400, "both transfer-encoding and content-length");
  // What frames the message is not for Connection to take away.
  named.delete("content-length");
  named.delete("te");

  const fields: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i];
    if (name === "host" || name === "expect" || name === "te" || CONNECTION_FIELDS.has(name) || named.has(name))
      continue;
    fields.push(name, raw[i + 1]);
  }
  if (trailers) fields.push("te", "trailers");
  return {
    fields,
    contentLength,
    chunked,
    close,
    keepAlive,
    keepAliveTimeoutMs,
    websocket: connectionUpgrade && upgradeWebsocket,
    trailers,
    host,
    expect,
  };
}

function codingError(value: string): MessageError {
  let last = "";
  let onlyKnown = true;
  forEachToken(value, (token) => {
    last = token;
    if (token !== "chunked") onlyKnown = false;
  });
  if (onlyKnown || last !== "chunked") return new MessageError(400, "transfer-encoding must end with chunked, once");
  return new MessageError(501, "the only transfer-encoding understood is chunked");
}
