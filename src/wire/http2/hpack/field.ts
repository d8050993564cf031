/**
 * One header field as the decoder hands it out and as the tables keep it: read and judged once, however often it is referred to.
 */
export class Field {
  readonly name: string;
  readonly value: string;
  /** Name and value and HPACK's 32. Source: RFC 7541 section 4.1. */
  readonly size: number;
  readonly kind: FieldKind;

  constructor(name: string, value: string, kind: FieldKind) {
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + 32;
    this.kind = kind;
  }
}

/** What a field means to the message that it is in. `invalid` makes the message malformed. */
export const FieldKind = {
  plain: 0,
  method: 1,
  scheme: 2,
  authority: 3,
  path: 4,
  protocol: 5,
  status: 6,
  contentLength: 7,
  cookie: 8,
  host: 9,
  invalid: 10,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

/**
 * The kind of a field with this name and value, both as they came. A name is valid when it is a lower-case token (or a known
 * pseudo-header), a value when it has no control characters and no outer white space; connection-level fields have no place
 * in HTTP/2. Source: RFC 9113 sections 8.2, 8.2.1, 8.2.2 and 8.3; RFC 9110 section 5.5.
 */
export function kindOf(name: string, value: string): FieldKind {
  if (!isFieldValue(value)) return FieldKind.invalid;
  const special = SPECIAL.get(name);
  if (special !== undefined) {
    if (special === TE) return value === "trailers" ? FieldKind.plain : FieldKind.invalid;
    return special;
  }
  return isLowerToken(name) ? FieldKind.plain : FieldKind.invalid;
}

/** A token of RFC 9110 without upper-case letters, at least one character. */
export function isLowerToken(text: string): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 127 || (CHARACTERS[c] & LOWER_TOKEN) === 0) return false;
  }
  return true;
}

/** No control character but tab, nothing above latin1, no white space at either end. */
export function isFieldValue(text: string): boolean {
  const last = text.length - 1;
  if (last < 0) return true;
  for (let i = 0; i <= last; i++) {
    const c = text.charCodeAt(i);
    if ((c < 0x20 && c !== 9) || c === 0x7f || c > 0xff) return false;
  }
  const first = text.charCodeAt(0);
  const end = text.charCodeAt(last);
  return first !== 0x20 && first !== 9 && end !== 0x20 && end !== 9;
}

const TE = -1;
const SPECIAL = new Map<string, FieldKind | typeof TE>([
  [":method", FieldKind.method],
  [":scheme", FieldKind.scheme],
  [":authority", FieldKind.authority],
  [":path", FieldKind.path],
  [":protocol", FieldKind.protocol],
  [":status", FieldKind.status],
  ["content-length", FieldKind.contentLength],
  ["cookie", FieldKind.cookie],
  ["host", FieldKind.host],
  ["te", TE],
  ["connection", FieldKind.invalid],
  ["proxy-connection", FieldKind.invalid],
  ["keep-alive", FieldKind.invalid],
  ["transfer-encoding", FieldKind.invalid],
  ["upgrade", FieldKind.invalid],
]);

const LOWER_TOKEN = 1;
const CHARACTERS = new Uint8Array(128);
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") CHARACTERS[c.charCodeAt(0)] = LOWER_TOKEN;
