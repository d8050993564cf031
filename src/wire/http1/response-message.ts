import { Head } from "../head.ts";
import type { ConnectionLimits } from "../limits.ts";
import { parseFields } from "./fields.ts";
import { type Framing, readFraming } from "./framing.ts";
import { MessageError } from "./message-error.ts";

/** A response's head as it came. Immutable; shared by all responses with the same bytes. */
export class ResponseMessage {
  readonly head: Head;
  /** The head's bytes, to recognise it when it comes again. */
  readonly bytes: Uint8Array;
  /** The server will take another request on this connection, provided that the body does not end with the connection. */
  readonly keepAlive: boolean;
  /** How long the server keeps it when idle, ms; Infinity when it does not say. */
  readonly keepAliveTimeoutMs: number;
  /** Body bytes by the fields: -1 for chunked, -2 when it ends with the connection. Not yet knowing of HEAD. */
  readonly length: number;
  /** A 101 that grants "websocket". */
  readonly websocket: boolean;

  constructor(head: Head, bytes: Uint8Array, minor: number, framing: Framing) {
    this.head = head;
    this.bytes = bytes;
    this.keepAlive = !framing.close && (minor === 1 || framing.keepAlive);
    this.keepAliveTimeoutMs = framing.keepAliveTimeoutMs;
    const bodyless = head.status < 200 || head.status === 204 || head.status === 304;
    this.length = bodyless ? 0 : framing.chunked ? -1 : framing.contentLength >= 0 ? framing.contentLength : -2;
    this.websocket = head.status === 101 && framing.websocket;
  }
}

/** Parses a whole response head, from the version to the empty line. Throws MessageError (its status is of no use here). */
export function parseResponse(text: string, limits: Readonly<ConnectionLimits>): ResponseMessage {
  const lineEnd = text.indexOf("\r\n");
  // The space after the status belongs to the grammar even without a phrase, but many servers leave both out.
  const line = /^HTTP\/1\.([01]) ([1-9][0-9][0-9])(?: [\t \x21-\x7e\x80-\xff]*)?$/.exec(text.slice(0, lineEnd));
  if (line === null) throw new MessageError(502, "the status line is not 'HTTP/1.x status reason'");
  const minor = line[1] === "1" ? 1 : 0;
  const status = Number(line[2]);
  if (status > 599) throw new MessageError(502, `status ${status} does not exist`);
  const framing = readFraming(parseFields(text, lineEnd + 2, limits), minor);
  if (framing.chunked && (status < 200 || status === 204))
    throw new MessageError(502, `transfer-encoding in a response with status ${status}`);
  const head = new Head("", "", "", "", "", status, framing.fields);
  return new ResponseMessage(head, Buffer.from(text, "latin1"), minor, framing);
}
