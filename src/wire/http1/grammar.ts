/** Character classes of RFC 9110 section 5 and RFC 9112, as tables over the 256 byte values. */

const CLASSES = new Uint8Array(256);
const TOKEN = 1;
const VALUE = 2;
const TARGET = 4;
const HOST = 8;
const UPPER = 16;

for (let c = 0x21; c <= 0x7e; c++) CLASSES[c] |= VALUE | TARGET;
for (let c = 0x80; c <= 0xff; c++) CLASSES[c] |= VALUE; // obs-text
CLASSES[0x20] |= VALUE;
CLASSES[0x09] |= VALUE;
CLASSES[0x23] &= ~TARGET; // "#": a fragment is never sent
for (const c of "!#$%&'*+-.^_`|~") CLASSES[c.charCodeAt(0)] |= TOKEN;
for (const c of "-._~!$&'()*+,;=%:[]") CLASSES[c.charCodeAt(0)] |= HOST;
for (let c = 0x30; c <= 0x39; c++) CLASSES[c] |= TOKEN | HOST;
for (let c = 0x61; c <= 0x7a; c++) CLASSES[c] |= TOKEN | HOST;
for (let c = 0x41; c <= 0x5a; c++) CLASSES[c] |= TOKEN | HOST | UPPER;

/** A character of a method or a field name. */
export function isTokenChar(code: number): boolean {
  return code < 256 && (CLASSES[code] & TOKEN) !== 0;
}

export function isUpperCase(code: number): boolean {
  return code < 256 && (CLASSES[code] & UPPER) !== 0;
}

/** A character of a field value: visible, space, tab, or above ASCII. */
export function isValueChar(code: number): boolean {
  return code < 256 && (CLASSES[code] & VALUE) !== 0;
}

/** A character of a request target. More than the URI grammar (| and { are common), but no space, control or raw non-ASCII. */
function isTargetChar(code: number): boolean {
  return code < 256 && (CLASSES[code] & TARGET) !== 0;
}

export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isTokenChar(text.charCodeAt(i))) return false;
  return text.length > 0;
}

export function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isTargetChar(text.charCodeAt(i))) return false;
  return text.length > 0;
}

/** host [":" port], without user information. */
export function isAuthority(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 256 || (CLASSES[code] & HOST) === 0) return false;
  }
  if (text.startsWith("[")) return /^\[[0-9A-Fa-f:.]+\](:[0-9]{0,5})?$/.test(text);
  return /^[^:[\]]+(:[0-9]{0,5})?$/.test(text);
}

/** The number of a Content-Length value, or -1 when it is none. */
export function parseLength(text: string): number {
  if (text.length === 0 || text.length > 16) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;
