import { createHash, randomBytes } from "node:crypto";
import { fieldOf } from "../core/fields.ts";
import { Head } from "../wire/head.ts";

/**
 * WebSocket handshakes between HTTP versions: an upgrade with 101 over HTTP/1.1 (RFC 6455 section 4), an extended CONNECT with 200 over HTTP/2,
 * which has no key and no accept (RFC 8441 section 5).
 */

/** A handshake's request as `version` says it. */
export function upgradeRequest(head: Head, version: "1.0" | "1.1" | "2"): Head {
  const { scheme, authority, path, protocol, fields } = head;
  if (version === "2") {
    if (head.method === "CONNECT" && fieldOf(fields, "sec-websocket-key") === undefined) return head;
    return new Head("CONNECT", scheme, authority, path, protocol, 0, without(fields, "sec-websocket-key"));
  }
  if (head.method !== "CONNECT" && fieldOf(fields, "sec-websocket-key") !== undefined) return head;
  const key = ["sec-websocket-key", randomBytes(16).toString("base64")];
  return new Head("GET", scheme, authority, path, protocol, 0, [...without(fields, "sec-websocket-key"), ...key]);
}

/** An accepted handshake's response as the downstream's version says it; others pass as they are. */
export function upgradeResponse(head: Head, request: Head, version: "1.0" | "1.1" | "2"): Head {
  const accepted = head.status === 101 || (head.status >= 200 && head.status < 300);
  if (!accepted) return head;
  const fields = without(head.fields, "sec-websocket-accept");
  if (version === "2") return new Head("", "", "", "", "", 200, fields);
  const key = fieldOf(request.fields, "sec-websocket-key");
  const accept = key === undefined ? [] : ["sec-websocket-accept", websocketAccept(key)];
  return new Head("", "", "", "", "", 101, [...fields, ...accept]);
}

/** RFC 6455 section 4.2.2. */
export function websocketAccept(key: string): string {
  return createHash("sha1")
    .update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    .digest("base64");
}

function without(fields: readonly string[], name: string): string[] {
  const rest: string[] = [];
  for (let i = 0; i < fields.length; i += 2) if (fields[i] !== name) rest.push(fields[i], fields[i + 1]);
  return rest;
}
