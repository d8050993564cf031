import { WeftError } from "../../core/errors.ts";
import { reasonPhrase } from "../../core/reason-phrase.ts";
import type { Head } from "../head.ts";
import { CONNECTION_FIELDS } from "./fields.ts";
import { isTarget, isToken, parseLength } from "./grammar.ts";
import type { Output } from "./output.ts";

/** A head as HTTP/1.1 text, cached on Head.h1: the first line and the fields, without what depends on the message (framing, connection). */
export class Http1Form {
  readonly bytes: Uint8Array;
  /** Of the fields; -1 when they have none. Not part of `bytes`. */
  readonly contentLength: number;
  /** "content-length: 17\r\n", empty when there is none. */
  readonly lengthLine: Uint8Array;
  readonly hasDate: boolean;

  constructor(bytes: Uint8Array, contentLength: number, hasDate: boolean) {
    this.bytes = bytes;
    this.contentLength = contentLength;
    this.lengthLine = Buffer.from(contentLength < 0 ? "" : `content-length: ${contentLength}\r\n`, "latin1");
    this.hasDate = hasDate;
  }
}

/** The form of a response's head. Throws WeftError "internal" (INVALID_FIELD) when a field cannot be sent. */
export function responseForm(head: Head): Http1Form {
  if (head.h1 instanceof Http1Form) return head.h1;
  const form = formOf(`HTTP/1.1 ${head.status} ${reasonPhrase(head.status)}\r\n`, head);
  head.h1 = form;
  return form;
}

/** The form of a request's head, with its Host. Throws WeftError "internal" (INVALID_FIELD). */
export function requestForm(head: Head): Http1Form {
  if (head.h1 instanceof Http1Form) return head.h1;
  const { method, path, authority } = head;
  if (!isToken(method) || !isTarget(path)) throw invalid(`request line ${JSON.stringify(`${method} ${path}`)}`);
  if (!isSafeValue(authority)) throw invalid(`authority ${JSON.stringify(authority)}`);
  const form = formOf(`${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n`, head);
  head.h1 = form;
  return form;
}

/** Appends further fields. Returns their content-length, -1 when they have none. Throws WeftError; the output may then hold some of them. */
export function writeExtra(output: Output, extra: readonly string[]): number {
  let contentLength = -1;
  for (let i = 0; i < extra.length; i += 2) {
    const name = extra[i];
    const value = extra[i + 1];
    if (name === "content-length") {
      contentLength = lengthOf(value);
      continue;
    }
    if (isDropped(name)) continue;
    if (!isToken(name) || !isSafeValue(value)) throw invalid(`field ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    output.latin1(name);
    output.bytes(SEPARATOR, 0, 2);
    if (isLatin1(value)) {
      output.latin1(value);
    } else {
      const bytes = Buffer.from(value, "utf8");
      output.bytes(bytes, 0, bytes.length);
    }
    output.bytes(CRLF, 0, 2);
  }
  return contentLength;
}

export const CRLF = Buffer.from("\r\n", "latin1");
const SEPARATOR = Buffer.from(": ", "latin1");

function formOf(firstLine: string, head: Head): Http1Form {
  let text = firstLine;
  let contentLength = -1;
  let hasDate = false;
  const { fields } = head;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    const value = fields[i + 1];
    if (name === "content-length") {
      contentLength = lengthOf(value);
      continue;
    }
    if (isDropped(name)) continue;
    if (name === "date") hasDate = true;
    if (!isToken(name) || !isSafeValue(value)) throw invalid(`field ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    text += `${name}: ${value}\r\n`;
  }
  return new Http1Form(Buffer.from(text, isLatin1(text) ? "latin1" : "utf8"), contentLength, hasDate);
}

/** Connection-level fields are the machine's own to send, and so is Host. */
function isDropped(name: string): boolean {
  return CONNECTION_FIELDS.has(name) || name === "host";
}

function lengthOf(value: string): number {
  const length = parseLength(value);
  if (length < 0) throw invalid(`content-length ${JSON.stringify(value)}`);
  return length;
}

/** Nothing that could end the line (response splitting) or the string. */
function isSafeValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) return false;
  return true;
}

function invalid(what: string): WeftError {
  return new WeftError("internal", `cannot be sent over HTTP/1.1: ${what}`, { reason: "INVALID_FIELD" });
}
