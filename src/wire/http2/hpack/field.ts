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
 * pseudo-header), a value when it has no control characters and no outer white space and is what the pseudo-header asks for;
 * connection-level fields have no place in HTTP/2. Source: RFC 9113 sections 8.2, 8.2.1, 8.2.2 and 8.3; RFC 9110 section 5.5.
 */
export function kindOf(name: string, value: string): FieldKind {
  return kindOfValue(kindOfName(name), value);
}

/** What the name alone says; `TE` where the value decides. */
export function kindOfName(name: string): NameKind {
  return SPECIAL.get(name) ?? (isLowerToken(name) ? FieldKind.plain : FieldKind.invalid);
}

/** The kind of a field whose name is of kind `kind`. */
export function kindOfValue(kind: NameKind, value: string): FieldKind {
  if (!isFieldValue(value)) return FieldKind.invalid;
  switch (kind) {
    case TE:
      return value === "trailers" ? FieldKind.plain : FieldKind.invalid;
    case FieldKind.method:
      return METHOD.test(value) ? kind : FieldKind.invalid;
    case FieldKind.scheme:
      return SCHEME.test(value) ? kind : FieldKind.invalid;
    case FieldKind.authority:
      return AUTHORITY.test(value) ? kind : FieldKind.invalid;
    case FieldKind.path:
      return PATH.test(value) ? kind : FieldKind.invalid;
    default:
      return kind;
  }
}

const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const SCHEME = /^[a-z][a-z0-9+.-]*$/;
/** Host and optional port, without user information. */
export const AUTHORITY = /^[!-"$-.0->A-[\]-~]+$/;
/** Visible ASCII without a fragment. */
const PATH = /^[!-"$-~]+$/;

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
function isFieldValue(text: string): boolean {
  const last = text.length - 1;
  if (last < 0) return true;
  for (let i = 0; i <= last; i++) {
    const c = text.charCodeAt(i);
    if ((c < 0x20 || c > 0x7e) && !((c >= 0x80 && c <= 0xff) || c === 9)) return false;
  }
  const first = text.charCodeAt(0);
  const end = text.charCodeAt(last);
  return first !== 0x20 && first !== 9 && end !== 0x20 && end !== 9;
}

/** FieldKind, or TE. */
export type NameKind = FieldKind | typeof TE;
const TE = -1;
const SPECIAL = new Map<string, NameKind>([
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
