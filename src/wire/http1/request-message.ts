import { Head } from "../head.ts";
import type { ConnectionLimits } from "../limits.ts";
import { parseFields } from "./fields.ts";
import { type Framing, readFraming } from "./framing.ts";
import { isAuthority, isTarget, isToken } from "./grammar.ts";
import { MessageError, NO_ANSWER } from "./message-error.ts";

/** A request's head as it came, with what the connection needs to know about it. Immutable; shared by all requests with the same bytes. */
export class RequestMessage {
  readonly head: Head;
  /** The head's bytes, to recognise it when it comes again. */
  readonly bytes: Uint8Array;
  /** Minor version: 0 or 1. */
  readonly minor: number;
  /** The client will take another response on this connection. */
  readonly keepAlive: boolean;
  /** Body bytes: 0 for none, -1 for chunked. */
  readonly length: number;
  /** It waits for 100 (Continue) before it sends the body. */
  readonly expectsContinue: boolean;
  /** Bytes as they come may follow, when it is granted: an upgrade or CONNECT. */
  readonly tunnel: boolean;
  /** It understands trailers in the response. */
  readonly acceptsTrailers: boolean;

  constructor(head: Head, bytes: Uint8Array, minor: number, framing: Framing) {
    this.head = head;
    this.bytes = bytes;
    this.minor = minor;
    this.keepAlive = !framing.close && (minor === 1 || framing.keepAlive);
    this.length = framing.chunked ? -1 : Math.max(0, framing.contentLength);
    this.tunnel = head.protocol !== "" || head.method === "CONNECT";
    this.expectsContinue = framing.expect !== undefined && minor === 1 && this.length !== 0;
    this.acceptsTrailers = framing.trailers && minor === 1;
  }
}

/** Parses a whole request head, from the method to the empty line. Throws MessageError with the status to answer. */
export function parseRequest(
  text: string,
  secure: boolean,
  limits: Readonly<ConnectionLimits>,
  proxy = false,
): RequestMessage {
  const lineEnd = text.indexOf("\r\n");
  const methodEnd = text.indexOf(" ");
  const targetEnd = text.indexOf(" ", methodEnd + 1);
  if (methodEnd <= 0 || targetEnd < 0 || targetEnd > lineEnd) {
    throw new MessageError(400, "the request line is not 'method target version'");
  }
  const method = text.slice(0, methodEnd);
  if (!isToken(method)) throw new MessageError(400, "the method has a character that is not allowed");
  const target = text.slice(methodEnd + 1, targetEnd);
  const version = text.slice(targetEnd + 1, lineEnd);
  // Three words and nothing of HTTP in any: another protocol (or a broken HTTP/2 preface), whose client would misread our answer.
  if (target !== "" && !version.startsWith("HTTP/") && !/^(\/|\*|[a-z]+:\/\/)/i.test(target))
    throw new MessageError(NO_ANSWER, "this is not HTTP");
  const minor = minorOf(version);
  if (!isTarget(target))
    throw new MessageError(400, "the request target is empty or has a character that is not allowed");

  const framing = readFraming(parseFields(text, lineEnd + 2, limits), minor);
  if (framing.host === undefined && minor === 1) throw new MessageError(400, "no host field");
  if (framing.host !== undefined && !isAuthority(framing.host))
    throw new MessageError(400, "the host field is not a host");
  if (framing.expect !== undefined && framing.expect !== "100-continue") {
    throw new MessageError(417, "the only expectation understood is 100-continue");
  }
  // Whatever follows it is the tunnel's (RFC 9110 section 9.3.6); somebody before us may have taken it for a body.
  if (method === "CONNECT" && (framing.chunked || framing.contentLength > 0))
    throw new MessageError(400, "CONNECT has no body");
  const scheme = secure ? "https" : "http";
  const { authority, path } = readTarget(method, target, framing.host, scheme, proxy);
  const upgrade =
    framing.websocket && minor === 1 && method === "GET" && !framing.chunked && framing.contentLength <= 0;
  const head = new Head(method, scheme, authority, path, upgrade ? "websocket" : "", 0, framing.fields);
  return new RequestMessage(head, Buffer.from(text, "latin1"), minor, framing);
}

function minorOf(version: string): number {
  if (version === "HTTP/1.1") return 1;
  if (version === "HTTP/1.0") return 0;
  if (/^HTTP\/1\.[2-9]$/.test(version)) return 1; // to be treated as the highest minor version that we know
  if (/^HTTP\/[0-9]\.[0-9]$/.test(version))
    throw new MessageError(505, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here");
  throw new MessageError(400, "the request line does not end with a version");
}

/** The forms of RFC 9112 section 3.2. */
function readTarget(
  method: string,
  target: string,
  host: string | undefined,
  scheme: string,
  proxy: boolean,
): { authority: string; path: string } {
  if (method === "CONNECT") {
    if (!proxy) throw new MessageError(501, "CONNECT is not served over HTTP/1.1");
    if (!isAuthority(target) || !/:\d{1,5}$/.test(target))
      throw new MessageError(400, "the target of CONNECT is not host:port");
    return { authority: target, path: "" };
  }
  if (target.startsWith("/")) return { authority: host ?? "", path: target };
  if (target === "*") {
    if (method !== "OPTIONS") throw new MessageError(400, "target * is for OPTIONS alone");
    return { authority: host ?? "", path: "*" };
  }
  const absolute = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*)(.*)$/.exec(target);
  if (absolute === null) throw new MessageError(400, "the request target is neither a path nor an absolute URI");
  const authority = absolute[2];
  if (absolute[1].toLowerCase() !== scheme) throw new MessageError(400, `the target's scheme is not ${scheme}`);
  if (!isAuthority(authority)) throw new MessageError(400, "the request target's authority is not a host");
  // The target wins by the book; where the two differ, somebody upstream may have believed the other one.
  if (!proxy && host !== undefined && host.toLowerCase() !== authority.toLowerCase()) {
    throw new MessageError(400, "the host field and the request target name different hosts");
  }
  const path = absolute[3];
  if (path === "" && method === "OPTIONS") return { authority, path: "*" };
  return { authority, path: path.startsWith("/") ? path : `/${path}` };
}
