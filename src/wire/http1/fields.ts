import type { ConnectionLimits } from "../limits.ts";
import { COLON, CR, HTAB, isTokenChar, isUpperCase, isValueChar, LF, SP } from "./grammar.ts";
import { MessageError } from "./message-error.ts";

/**
 * Reads field lines from `at` to the empty line that ends the section: flat [name, value, ...], names in lower case, values without
 * outer white space. Refuses what recipients are known to read differently: folded lines, space before the colon, bare CR or LF,
 * control characters (RFC 9112 sections 2.2 and 5).
 */
export function parseFields(text: string, at: number, limits: Readonly<ConnectionLimits>): string[] {
  const fields: string[] = [];
  let size = text.length;
  for (;;) {
    const first = text.charCodeAt(at);
    if (first === CR && text.charCodeAt(at + 1) === LF) {
      if (at + 2 !== text.length) throw new MessageError(400, "an empty line in the middle of the head");
      return fields;
    }
    if (first === SP || first === HTAB)
      throw new MessageError(400, "a field line must not begin with white space (folding is obsolete)");

    const nameStart = at;
    let hasUpperCase = false;
    let code = first;
    while (isTokenChar(code)) {
      if (isUpperCase(code)) hasUpperCase = true;
      code = text.charCodeAt(++at);
    }
    if (code !== COLON || at === nameStart) throw new MessageError(400, describeName(text, nameStart, at, code));
    const rawName = text.slice(nameStart, at);
    code = text.charCodeAt(++at);
    while (code === SP || code === HTAB) code = text.charCodeAt(++at);

    const valueStart = at;
    while (isValueChar(code)) code = text.charCodeAt(++at);
    if (code !== CR || text.charCodeAt(at + 1) !== LF) {
      throw new MessageError(400, `the value of field "${rawName}" has a character that is not allowed (${hex(code)})`);
    }
    let valueEnd = at;
    while (valueEnd > valueStart && isSpace(text.charCodeAt(valueEnd - 1))) valueEnd--;
    at += 2;

    fields.push(hasUpperCase ? rawName.toLowerCase() : rawName, text.slice(valueStart, valueEnd));
    size += 32;
    if (fields.length > 2 * limits.maxFields) throw new MessageError(431, `more than ${limits.maxFields} fields`);
    if (size > limits.maxHeadBytes) throw new MessageError(431, `head larger than ${limits.maxHeadBytes} bytes`);
  }
}

/** Trailers: fields that frame, route or describe the connection may not come late (RFC 9110 section 6.5.1). */
export function parseTrailers(text: string, limits: Readonly<ConnectionLimits>): string[] {
  const fields = parseFields(text, 0, limits);
  for (let i = 0; i < fields.length; i += 2) {
    if (NOT_IN_TRAILERS.has(fields[i])) throw new MessageError(400, `field "${fields[i]}" is not allowed in trailers`);
  }
  return fields;
}

/** Calls `each` with every element of a comma-separated list, in lower case, without empty ones. */
export function forEachToken(value: string, each: (token: string) => void): void {
  for (const part of value.toLowerCase().split(",")) {
    const token = part.trim();
    if (token !== "") each(token);
  }
}

/** Fields that concern one connection and are never passed on (RFC 9110 section 7.6.1), beside those that Connection names. */
export const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...CONNECTION_FIELDS,
  "content-length",
  "host",
  "te",
  "trailer",
  "expect",
]);

function isSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

function describeName(text: string, start: number, at: number, code: number): string {
  if (at === start) return "a field line without a name";
  if (isSpace(code)) return `white space in or after the field name "${text.slice(start, at)}"`;
  if (code === CR || code === LF) return "a field line without a colon";
  return `a field name has a character that is not allowed (${hex(code)})`;
}

function hex(code: number): string {
  return Number.isNaN(code) ? "end of head" : `0x${code.toString(16).padStart(2, "0")}`;
}
