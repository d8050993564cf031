import { MAX_DEPTH } from "./codec-cell.ts";
import {
  type ChildOf,
  IMPLICIT,
  isLong,
  isStructField,
  isUnwrapped,
  LEGACY_REQUIRED,
  PROTO3,
  str,
  wireTypeOf,
} from "./codec-shape.ts";
import { type DescField, type DescMessage, ScalarType } from "./runtime.ts";

/** The text of a type's `encode`; codec-compile.ts shows what it looks like and what must hold in it. */
export function encoderText(desc: DescMessage, childOf: ChildOf): string {
  const fields = desc.fields.toSorted((a, b) => a.number - b.number);
  const fixed = fields.reduce((sum, field) => sum + fixedSize(field), 16);
  const lines = fields.map((field) => encodeField(field, fixed, childOf)).join("\n");
  return `const FIXED = ${fixed};
function encode(m, p, d) {
  if (m.$typeName !== undefined && m.$typeName !== ${str(desc.typeName)}) h.foreign(${str(desc.typeName)}, m);
  if (d > ${MAX_DEPTH}) h.tooDeep(${str(desc.typeName)});
  let b = scratch.bytes;
  if (p + FIXED > b.length) { reserve(p + FIXED); b = scratch.bytes; }
  let v, q, k;
${lines}
  v = m.$unknown;
  if (v !== undefined) p = h.writeUnknown(p, v);
  return p;
}`;
}

/** The most that a field's tag and fixed part can take; what has no bound asks for room itself. */
function fixedSize(field: DescField): number {
  return field.fieldKind === "scalar" || field.fieldKind === "enum" ? 15 : 10;
}

function encodeField(field: DescField, fixed: number, childOf: ChildOf): string {
  const name = str(field.localName);
  const label = str(`${field.parent.typeName}.${field.name}`);
  if (field.fieldKind === "list") return encodeList(field, name, label, fixed, childOf);
  if (field.fieldKind === "map") return encodeMap(field, name, label, fixed, childOf);
  const write = encodeSingular(field, label, fixed, childOf);
  if (field.oneof !== undefined) {
    const oneof = str(field.oneof.localName);
    return `  v = m[${oneof}];\n  if (v !== undefined && v !== null && v.case === ${name} && (v = v.value) !== undefined && v !== null) {${write}}`;
  }
  if (field.presence !== IMPLICIT) {
    const own =
      field.fieldKind === "message" || field.parent.file.edition === PROTO3 ? "" : ` && Object.hasOwn(m, ${name})`;
    const required = field.presence === LEGACY_REQUIRED ? ` else h.missing(${label});` : "";
    return `  v = m[${name}];\n  if (v !== undefined && v !== null${own}) {${write}}${required}`;
  }
  if (field.fieldKind === "enum") {
    const zero = field.enum.values[0].number;
    return `  v = m[${name}];\n  if (v !== ${zero} && v !== undefined && v !== null) {${write}}`;
  }
  switch (field.scalar) {
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return `  v = m[${name}];\n  if (v !== undefined && v !== null && (v !== 0 || 1 / v < 0)) {${write}}`;
    case ScalarType.BYTES:
      return `  v = m[${name}];\n  if (v !== undefined && v !== null && v.length !== 0) {${write}}`;
    case ScalarType.STRING:
      return `  v = m[${name}];\n  if (v) {${write}} else if (v !== "" && v !== undefined && v !== null) h.badValue(${label}, "a string", v);`;
    case ScalarType.BOOL:
      return `  v = m[${name}];\n  if (v) {${write}} else if (v !== false && v !== undefined && v !== null) h.badValue(${label}, "a boolean", v);`;
    default: {
      const zero = isLong(field.scalar as ScalarType) ? 'v !== 0n && v !== 0 && v !== ""' : "v !== 0";
      const guard = isLong(field.scalar as ScalarType) ? 'v && v !== "0"' : "v";
      return `  v = m[${name}];\n  if (${guard}) {${write}} else if (${zero} && v !== "0" && v !== undefined && v !== null) h.badValue(${label}, "an integer", v);`;
    }
  }
}

/** Tag and value of `v`. */
function encodeSingular(
  field: DescField & { fieldKind: "scalar" | "enum" | "message" },
  label: string,
  fixed: number,
  childOf: ChildOf,
): string {
  if (field.fieldKind !== "message") {
    const scalar = field.fieldKind === "enum" ? ScalarType.INT32 : field.scalar;
    return ` ${tagBytes(field.number, wireTypeOf(scalar))}${encodeScalar(scalar, "v", label, fixed)} `;
  }
  let value = "v";
  if (isStructField(field)) value = "structs.jsonToStruct(v)";
  else if (isUnwrapped(field)) value = `{ value: v }`;
  return encodeChild(field.number, value, label, fixed, childOf(field.message));
}

function encodeChild(number: number, value: string, label: string, fixed: number, child: string): string {
  return `
    if (typeof v !== "object" && ${value === "v"}) h.badValue(${label}, "a message", v);
    ${tagBytes(number, 2)}q = p;
    p = h.closeMessage(q, ${child}.encode(${value}, q + 1, d + 1));
    b = scratch.bytes;
    if (p + ${fixed} > b.length) { reserve(p + ${fixed}); b = scratch.bytes; }
  `;
}

function encodeList(
  field: DescField & { fieldKind: "list" },
  name: string,
  label: string,
  fixed: number,
  childOf: ChildOf,
): string {
  const open = `  v = m[${name}];
  if (v !== undefined && v !== null && v.length !== 0) {
    if (!Array.isArray(v)) h.badValue(${label}, "an array", v);
    const list = v;`;
  if (field.listKind === "message") {
    const value = isStructField(field) ? "structs.jsonToStruct(v)" : "v";
    const body = encodeChild(field.number, value, label, fixed, childOf(field.message));
    return `${open}\n    for (let i = 0; i < list.length; i++) { v = list[i]; if (v === null || v === undefined) h.badValue(${label}, "a list of messages", v);${body}}\n  }`;
  }
  const scalar = field.listKind === "enum" ? ScalarType.INT32 : field.scalar;
  const write = encodeScalar(scalar, "v", label, fixed);
  if (field.packed) {
    return `${open}
    q = p + 5 + list.length * 10 + ${fixed};
    if (q > b.length) { reserve(q); b = scratch.bytes; }
    ${tagBytes(field.number, 2)}q = p++;
    for (let i = 0; i < list.length; i++) { v = list[i]; ${write} }
    p = h.closeMessage(q, p);
    b = scratch.bytes;
    if (p + ${fixed} > b.length) { reserve(p + ${fixed}); b = scratch.bytes; }
  }`;
  }
  return `${open}
    for (let i = 0; i < list.length; i++) {
      v = list[i];
      if (p + 15 + ${fixed} > b.length) { reserve(p + 15 + ${fixed}); b = scratch.bytes; }
      ${tagBytes(field.number, wireTypeOf(scalar))}${write}
    }
  }`;
}

function encodeMap(
  field: DescField & { fieldKind: "map" },
  name: string,
  label: string,
  fixed: number,
  childOf: ChildOf,
): string {
  const slack = fixed + 32;
  let value: string;
  if (field.mapKind === "message") {
    const local = isStructField(field) ? "structs.jsonToStruct(v)" : "v";
    value = `if (v === null || v === undefined) h.badValue(${label}, "a map of messages", v);
      { const entry = q; ${encodeChild(2, local, label, slack, childOf(field.message))} q = entry; }`;
  } else {
    const scalar = field.mapKind === "enum" ? ScalarType.INT32 : field.scalar;
    value = `${tagBytes(2, wireTypeOf(scalar))}${encodeScalar(scalar, "v", label, slack)}`;
  }
  return `  v = m[${name}];
  if (v !== undefined && v !== null) {
    if (typeof v !== "object") h.badValue(${label}, "an object", v);
    const map = v, keys = Object.keys(map);
    for (let i = 0; i < keys.length; i++) {
      k = keys[i];
      if (p + ${slack} > b.length) { reserve(p + ${slack}); b = scratch.bytes; }
      ${tagBytes(field.number, 2)}q = p++;
      v = ${mapKey(field.mapKey, label)};
      ${tagBytes(1, wireTypeOf(field.mapKey))}${encodeScalar(field.mapKey, "v", label, slack)}
      v = map[k];
      ${value}
      p = h.closeMessage(q, p);
      b = scratch.bytes;
    }
    if (p + ${fixed} > b.length) { reserve(p + ${fixed}); b = scratch.bytes; }
  }`;
}

function mapKey(type: ScalarType, label: string): string {
  if (type === ScalarType.STRING || isLong(type)) return "k";
  return type === ScalarType.BOOL ? `h.boolKey(k, ${label})` : `h.intKey(k, ${label})`;
}

/** The value alone; room for it is there, except for strings and bytes, which leave `fixed` free behind them. */
function encodeScalar(type: ScalarType, v: string, label: string, fixed: number): string {
  const check32 = `if ((${v} | 0) !== ${v}) h.badValue(${label}, "a 32-bit integer", ${v}); `;
  const checkU32 = `if ((${v} >>> 0) !== ${v}) h.badValue(${label}, "an unsigned 32-bit integer", ${v}); `;
  switch (type) {
    case ScalarType.STRING:
      return `p = h.writeString(p, ${v}, ${fixed}, ${label}); b = scratch.bytes;`;
    case ScalarType.BYTES:
      return `p = h.writeBytes(p, ${v}, ${fixed}, ${label}); b = scratch.bytes;`;
    case ScalarType.BOOL:
      return `if (typeof ${v} !== "boolean") h.badValue(${label}, "a boolean", ${v}); b[p++] = ${v} ? 1 : 0;`;
    case ScalarType.INT32:
      return `${check32}if (${v} >= 0 && ${v} < 128) b[p++] = ${v}; else p = h.writeInt32(b, p, ${v});`;
    case ScalarType.UINT32:
      return `${checkU32}if (${v} < 128) b[p++] = ${v}; else p = h.writeVarint32(b, p, ${v} | 0);`;
    case ScalarType.SINT32:
      return `${check32}p = h.writeVarint32(b, p, (${v} << 1) ^ (${v} >> 31));`;
    case ScalarType.FIXED32:
      return `${checkU32}p = h.writeFixed32(b, p, ${v});`;
    case ScalarType.SFIXED32:
      return `${check32}p = h.writeFixed32(b, p, ${v});`;
    default:
      return `p = h.${WRITE_LONG[type]}(b, p, ${v}, ${label});`;
  }
}

const WRITE_LONG: Partial<Record<ScalarType, string>> = {
  [ScalarType.INT64]: "writeInt64",
  [ScalarType.UINT64]: "writeUint64",
  [ScalarType.SINT64]: "writeSint64",
  [ScalarType.FIXED64]: "writeFixed64",
  [ScalarType.SFIXED64]: "writeSfixed64",
  [ScalarType.FLOAT]: "writeFloat",
  [ScalarType.DOUBLE]: "writeDouble",
};

function tagBytes(number: number, wireType: number): string {
  let tag = ((number << 3) | wireType) >>> 0;
  let text = "";
  for (; tag > 127; tag >>>= 7) text += `b[p++] = ${(tag & 127) | 128}; `;
  return `${text}b[p++] = ${tag}; `;
}
