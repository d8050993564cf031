/**
 * Names as text, in the form of master files (RFC 1035 section 5.1): labels with a dot behind each, "products.weft."; the root is ".". A dot or backslash
 * within a label is written with a backslash, what cannot be printed as \DDD. Case is kept; names are compared by `nameKey`.
 */

/** With the length of each label and the root's zero (RFC 1035 section 2.3.4). */
export const MAX_NAME_BYTES = 255;
export const MAX_LABEL_BYTES = 63;

const BACKSLASH = 0x5c;
const DOT = 0x2e;

/** Bytes [start, end) as a label's text, without the dot behind it. */
export function labelText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte === DOT || byte === BACKSLASH) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

/** The same for names that differ in the case of ASCII letters alone (RFC 4343). */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/** A name and what is left of it without its first labels, down to its last: ["v2.weft.", "weft."]; an escaped dot ends no label. */
export function suffixesOf(name: string): string[] {
  const suffixes: string[] = [];
  let start = 0;
  for (let i = 0; i < name.length; i++) {
    if (name[i] === "\\") i++;
    else if (name[i] === ".") {
      if (i > start) suffixes.push(name.slice(start));
      start = i + 1;
    }
  }
  return suffixes;
}

/** A name as it travels, uncompressed. Null when it is none: an empty or too long label, too many bytes, a broken escape. */
export function encodeName(name: string): Uint8Array | null {
  if (name === ".") return Uint8Array.of(0);
  const out: number[] = [];
  let label: number[] = [];
  for (let i = 0; i < name.length; i++) {
    let byte = name.charCodeAt(i);
    if (byte === DOT) {
      if (label.length === 0 || label.length > MAX_LABEL_BYTES) return null;
      out.push(label.length, ...label);
      label = [];
      continue;
    }
    if (byte === BACKSLASH) {
      const digits = /^\d{3}/.exec(name.slice(i + 1, i + 4))?.[0];
      byte = digits === undefined ? name.charCodeAt(i + 1) : Number(digits);
      i += digits === undefined ? 1 : 3;
    }
    if (!(byte <= 0xff)) return null;
    label.push(byte);
  }
  if (label.length > 0) return null; // no dot at the end: not a whole name
  out.push(0);
  return out.length > 1 && out.length <= MAX_NAME_BYTES ? Uint8Array.from(out) : null;
}
