import { Head } from "../head.ts";
import { AUTHORITY, type Field, FieldKind, isLowerToken } from "./hpack/field.ts";

/**
 * What a header block means. `head` is null when it is malformed (RFC 9113 section 8.1.1) or too large.
 */
export class Block {
  readonly head: Head | null;
  /** The value of content-length, -1 when there is none. */
  readonly contentLength: number;
  /** Why `head` is null: a sentence for people, "" otherwise. */
  readonly fault: string;
  readonly tooLarge: boolean;

  constructor(head: Head | null, contentLength: number, fault: string, tooLarge: boolean) {
    this.head = head;
    this.contentLength = contentLength;
    this.fault = fault;
    this.tooLarge = tooLarge;
  }
}

export type MessageKind = typeof REQUEST | typeof RESPONSE | typeof TRAILERS;
export const REQUEST = 0;
export const RESPONSE = 1;
export const TRAILERS = 2;

/** Judges decoded fields as a request's, a response's or trailers. Source: RFC 9113 sections 8.1 to 8.5; RFC 8441 section 4. */
export function readMessage(kind: MessageKind, fields: readonly Field[]): Block {
  let method = "";
  let scheme = "";
  let authority: string | null = null;
  let path: string | null = null;
  let protocol = "";
  let status = "";
  let contentLength = -1;
  let host: string | null = null;
  let cookieAt = -1;
  const rest: string[] = [];
  let seen = 0;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    const what = field.kind;
    if (what === FieldKind.plain) {
      rest.push(field.name, field.value);
      continue;
    }
    if (what <= FieldKind.status) {
      if (rest.length > 0 || host !== null || contentLength >= 0)
        return malformed(`${field.name} after a regular field`);
      if ((seen & (1 << what)) !== 0) return malformed(`${field.name} twice`);
      seen |= 1 << what;
    }
    const value = field.value;
    switch (what) {
      case FieldKind.method:
        method = value;
        break;
      case FieldKind.scheme:
        scheme = value;
        break;
      case FieldKind.authority:
        authority = value;
        break;
      case FieldKind.path:
        path = value;
        break;
      case FieldKind.protocol:
        protocol = value;
        break;
      case FieldKind.status:
        status = value;
        break;
      case FieldKind.contentLength:
        if (contentLength >= 0) return malformed("content-length twice");
        contentLength = parseLength(value);
        if (contentLength < 0) return malformed("content-length is not a number");
        rest.push(field.name, value);
        break;
      case FieldKind.host:
        if (host !== null) return malformed("host twice");
        host = value;
        if (kind !== REQUEST) rest.push(field.name, value);
        break;
      case FieldKind.cookie:
        // Split for compression's sake; upper layers get one field again. Source: RFC 9113 section 8.2.3.
        if (cookieAt >= 0) rest[cookieAt] += `; ${value}`;
        else {
          cookieAt = rest.length + 1;
          rest.push(field.name, value);
        }
        break;
      default:
        return malformed(`field ${JSON.stringify(field.name.slice(0, 64))} is not allowed or has invalid characters`);
    }
  }

  if (kind === TRAILERS) {
    if (seen !== 0) return malformed("pseudo-header in trailers");
    if (contentLength >= 0) return malformed("content-length in trailers");
    return new Block(new Head("", "", "", "", "", 0, rest), -1, "", false);
  }
  if (kind === RESPONSE) {
    if (seen !== 1 << FieldKind.status) return malformed("a response needs :status and no other pseudo-header");
    if (!/^[1-5][0-9][0-9]$/.test(status) || status === "101") return malformed(":status is not valid");
    return new Block(new Head("", "", "", "", "", Number(status), rest), contentLength, "", false);
  }

  if ((seen & (1 << FieldKind.status)) !== 0) return malformed(":status in a request");
  if (method === "") return malformed(":method is missing");
  const extended = (seen & (1 << FieldKind.protocol)) !== 0;
  const tunnel = method === "CONNECT" && !extended;
  if (extended && (method !== "CONNECT" || !isLowerToken(protocol.toLowerCase()))) {
    return malformed(":protocol is only for CONNECT and must be a token");
  }
  if (tunnel) {
    if (scheme !== "" || path !== null) return malformed(":scheme or :path with CONNECT");
    if (authority === null) return malformed("CONNECT without :authority");
  } else {
    if (scheme === "") return malformed(":scheme is missing");
    // Origin form, or the asterisk of OPTIONS.
    if (path === null || !(path.charCodeAt(0) === 0x2f || (path === "*" && method === "OPTIONS"))) {
      return malformed(":path is missing or not valid");
    }
  }
  if (authority !== null && host !== null && authority.toLowerCase() !== host.toLowerCase()) {
    return malformed(":authority and host differ");
  }
  if (authority === null) {
    if (host === null || !AUTHORITY.test(host)) return malformed(":authority is missing, or host is not valid");
    authority = host;
  }
  return new Block(new Head(method, scheme, authority, path ?? "", protocol, 0, rest), contentLength, "", false);
}

/** A Block for a head that exceeds the limits. */
export const TOO_LARGE = new Block(null, -1, "the head exceeds the limits", true);

function malformed(fault: string): Block {
  return new Block(null, -1, fault, false);
}

/** Digits only, below 2^53; -1 otherwise. */
function parseLength(value: string): number {
  return /^[0-9]{1,15}$/.test(value) ? Number(value) : -1;
}
