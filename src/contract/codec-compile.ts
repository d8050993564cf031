import * as helpers from "./codec-runtime.ts";
import { jsonToStruct, structToJson } from "./codec-struct.ts";
import { create, type DescField, type DescMessage, mergeFromBinary, ScalarType, toBinary } from "./runtime.ts";
import { reserve, scratch } from "./scratch.ts";

/**
 * A message type's encoder and decoder, compiled from its descriptor to JavaScript. What comes out looks like this, for
 * `message Line { string sku = 1; int32 quantity = 3; }`:
 *
 *     encode(m, p, d)        b = scratch.bytes; make room for every field of fixed size at once (FIXED bytes)
 *                            v = m["sku"];      if (v) { b[p++] = 10; p = h.writeString(p, v, FIXED, "Line.sku"); b = scratch.bytes; }
 *                            v = m["quantity"]; if (v) { b[p++] = 24; p = ... }
 *                            return p
 *     decode(b, p, e, m, d)  while (p < e) switch (tag) {
 *                              case 10: length into q; m["sku"] = h.readString(b, p, q, true); p = q; break;
 *                              case 24: ... default: keep as unknown }
 *                            p must be e now, or a field was cut off
 *
 * Invariants: (1) before each field, FIXED bytes are free behind p, so only what has no fixed size asks for room; (2) nothing behind
 * e is ever made part of a message: values of a length are checked before they are read, others when the loop ends; (3) names reach
 * the text through JSON.stringify alone. A child is one byte of length and its content; where the length needs more, the content is
 * moved (most messages are shorter than 128 bytes, and moving costs less than measuring every message first).
 */
export interface Compiled {
  /** Writes into scratch from `p`, `d` levels deep; returns the end. */
  encode: (message: unknown, p: number, d: number) => number;
  /** Reads [p, e) into `message`. */
  decode: (b: Uint8Array, p: number, e: number, message: unknown, d: number) => void;
  /** An empty message. */
  empty: () => unknown;
}

/** Compiles on first use of each type; types that name each other are compiled once. Throws where code from strings is forbidden. */
export function compiledOf(desc: DescMessage): Compiled {
  const known = cache.get(desc);
  if (known !== undefined) return known;
  // Entered before it is filled, for types that contain themselves; its functions compile themselves when first called.
  const compiled: Compiled = {
    encode: (message, p, d) => build(desc, compiled).encode(message, p, d),
    decode: (b, p, e, message, d) => build(desc, compiled).decode(b, p, e, message, d),
    empty: () => build(desc, compiled).empty(),
  };
  cache.set(desc, compiled);
  return compiled;
}

const cache = new WeakMap<DescMessage, Compiled>();

function build(desc: DescMessage, into: Compiled): Compiled {
  if (desc.fields.some((field) => "delimitedEncoding" in field && field.delimitedEncoding))
    return Object.assign(into, reflected(desc));
  const children = new Map<DescMessage, number>();
  const childOf = (child: DescMessage) => {
    if (!children.has(child)) children.set(child, children.size);
    return `c${children.get(child)}`;
  };
  const encode = encoderText(desc, childOf);
  const decode = decoderText(desc, childOf);
  const empty = emptyText(desc);
  const names = [...children.values()].map((index) => `c${index}`);
  const text = `"use strict";\n${encode}\n${decode}\n${empty}\nreturn { encode, decode, empty };`;
  const make = new Function(
    "h",
    "scratch",
    "reserve",
    "cursor",
    "SMALL",
    "create",
    "NOTHING",
    "structs",
    ...names,
    text,
  );
  const parts = [...children.keys()].map(compiledOf);
  return Object.assign(
    into,
    make(
      helpers,
      scratch,
      reserve,
      helpers.cursor,
      helpers.SMALL,
      () => create(desc),
      NOTHING,
      { structToJson, jsonToStruct },
      ...parts,
    ) as Compiled,
  );
}

/** Messages with groups are rare enough to be left to reflection. */
function reflected(desc: DescMessage): Compiled {
  return {
    encode(message, p) {
      const bytes = toBinary(desc, create(desc, message as Record<string, unknown>));
      reserve(p + bytes.length);
      scratch.bytes.set(bytes, p);
      return p + bytes.length;
    },
    decode(b, p, e, message) {
      mergeFromBinary(desc, message as never, helpers.readBytes(b, p, e));
    },
    empty: () => create(desc),
  };
}

/** The value of empty bytes fields; shared, as in protobuf-es. */
const NOTHING = new Uint8Array(0);

type ChildOf = (desc: DescMessage) => string;

// === encode ========================================================================================================

function encoderText(desc: DescMessage, childOf: ChildOf): string {
  const fields = desc.fields.toSorted((a, b) => a.number - b.number);
  const fixed = fields.reduce((sum, field) => sum + fixedSize(field), 16);
  const lines = fields.map((field) => encodeField(field, fixed, childOf)).join("\n");
  return `const FIXED = ${fixed};
function encode(m, p, d) {
  if (m.$typeName !== undefined && m.$typeName !== ${str(desc.typeName)}) h.foreign(${str(desc.typeName)}, m);
  if (d > ${helpers.MAX_DEPTH}) h.tooDeep(${str(desc.typeName)});
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

// === decode ========================================================================================================

function decoderText(desc: DescMessage, childOf: ChildOf): string {
  const type = str(desc.typeName);
  const structs = desc.fields.filter((field) => field.fieldKind === "message" && isStructField(field));
  const cases = desc.fields.map((field) => decodeField(field, childOf)).join("\n");
  const entries = desc.fields.map((field) => (field.fieldKind === "map" ? entryText(field, childOf) : "")).join("\n");
  // A Struct that is a field is JSON in the end, but stays a message while parts of it may still follow.
  const declare = structs.map((field) => `let s${field.number} = null;`).join(" ");
  const finish = structs.map(finishStruct).join("\n");
  return `${entries}
function decode(b, p, e, m, d) {
  if (d > ${helpers.MAX_DEPTH}) h.tooDeep(${type});
  let t, v, q;
  ${declare}
  while (p < e) {
    t = b[p++];
    if (t > 127) { t = h.readTag(b, p - 1); p = cursor.at; }
    switch (t) {
${cases}
      default: {
        const unknown = h.readUnknown(b, p, e, t, ${helpers.MAX_DEPTH} - d);
        p = cursor.at;
        if (m.$unknown === undefined) m.$unknown = [unknown]; else m.$unknown.push(unknown);
      }
    }
  }
  if (p !== e) h.cutOff(${type});
${finish}
}`;
}

function finishStruct(field: DescField): string {
  const s = `s${field.number}`;
  const name = str(field.localName);
  if (field.oneof === undefined) return `  if (${s} !== null) m[${name}] = structs.structToJson(${s});`;
  const oneof = str(field.oneof.localName);
  return `  if (${s} !== null && m[${oneof}].case === ${name}) m[${oneof}] = { case: ${name}, value: structs.structToJson(${s}) };`;
}

function decodeField(field: DescField, childOf: ChildOf): string {
  const name = str(field.localName);
  const label = str(`${field.parent.typeName}.${field.name}`);
  const at = (wireType: number) => `      case ${((field.number << 3) | wireType) >>> 0}:`;
  if (field.fieldKind === "map") {
    return `${at(2)} ${readLength(label)}entry${field.number}(b, p, q, m[${name}], d); p = q; break;`;
  }
  if (field.fieldKind === "list") {
    if (field.listKind === "message") {
      const child = childOf(field.message);
      const local = isStructField(field) ? "structs.structToJson(v)" : "v";
      return `${at(2)} ${readLength(label)}v = ${child}.empty(); ${child}.decode(b, p, q, v, d + 1); m[${name}].push(${local}); p = q; break;`;
    }
    const scalar = field.listKind === "enum" ? ScalarType.INT32 : field.scalar;
    const read = readScalar(scalar, field.utf8Validation, field.listKind === "scalar" && field.longAsString, label);
    const single = `${at(wireTypeOf(scalar))} { ${read} m[${name}].push(v); break; }`;
    if (wireTypeOf(scalar) === 2) return single;
    const packedRead = readScalar(scalar, false, field.listKind === "scalar" && field.longAsString, label, "end");
    return `${single}
${at(2)} {
        ${readLength(label)}const list = m[${name}], end = q;
        while (p < end) { ${packedRead} list.push(v); }
        if (p !== end) h.cutOff(${label});
        break;
      }`;
  }
  if (field.fieldKind === "message")
    return `${at(2)} ${readLength(label)}${decodeChild(field, name, childOf(field.message))} p = q; break;`;
  const scalar = field.fieldKind === "enum" ? ScalarType.INT32 : field.scalar;
  const read = readScalar(scalar, field.utf8Validation, field.fieldKind === "scalar" && field.longAsString, label);
  const store =
    field.oneof === undefined ? `m[${name}] = v;` : `m[${str(field.oneof.localName)}] = { case: ${name}, value: v };`;
  if (field.fieldKind === "enum" && !field.enum.open) {
    const known = field.enum.values.map(({ number }) => `v === ${number}`).join(" || ");
    return `${at(0)} {
        const start = p;
        ${read}
        if (${known}) { ${store} } else {
          const unknown = { no: ${field.number}, wireType: 0, data: h.readBytes(b, start, Math.min(p, e)) };
          if (m.$unknown === undefined) m.$unknown = [unknown]; else m.$unknown.push(unknown);
        }
        break;
      }`;
  }
  return `${at(wireTypeOf(scalar))} { ${read} ${store} break; }`;
}

/** Merges [p, q) into the field's message. */
function decodeChild(field: DescField & { fieldKind: "message" }, name: string, child: string): string {
  const s = `s${field.number}`;
  if (field.oneof !== undefined) {
    const oneof = str(field.oneof.localName);
    if (isStructField(field)) {
      return `v = m[${oneof}];
        if (v.case !== ${name}) ${s} = ${child}.empty(); else if (${s} === null) ${s} = structs.jsonToStruct(v.value);
        ${child}.decode(b, p, q, ${s}, d + 1); if (v.case !== ${name}) m[${oneof}] = { case: ${name}, value: ${s} };`;
    }
    return `v = m[${oneof}]; v = v.case === ${name} ? v.value : ${child}.empty(); ${child}.decode(b, p, q, v, d + 1); m[${oneof}] = { case: ${name}, value: v };`;
  }
  if (isStructField(field)) {
    return `if (${s} === null) ${s} = structs.jsonToStruct(m[${name}]); ${child}.decode(b, p, q, ${s}, d + 1);`;
  }
  if (isUnwrapped(field)) {
    return `v = ${child}.empty(); if (m[${name}] !== undefined) v.value = m[${name}]; ${child}.decode(b, p, q, v, d + 1); m[${name}] = v.value;`;
  }
  return `v = m[${name}]; if (v === undefined) v = m[${name}] = ${child}.empty(); ${child}.decode(b, p, q, v, d + 1);`;
}

function entryText(field: DescField & { fieldKind: "map" }, childOf: ChildOf): string {
  const label = str(`${field.parent.typeName}.${field.name}`);
  const keyTag = 8 | wireTypeOf(field.mapKey);
  const readKey = readScalar(field.mapKey, field.utf8Validation, false, label);
  let read: string;
  let fallback: string;
  let valueTag = 18;
  let store = "value";
  if (field.mapKind === "message") {
    const child = childOf(field.message);
    read = `${readLength(label)}if (value === undefined) value = ${child}.empty(); ${child}.decode(b, p, q, value, d + 1); p = q;`;
    fallback = `${child}.empty()`;
    if (isStructField(field)) store = "structs.structToJson(value)";
  } else {
    const scalar = field.mapKind === "enum" ? ScalarType.INT32 : field.scalar;
    valueTag = 16 | wireTypeOf(scalar);
    read = `${readScalar(scalar, field.utf8Validation, false, label)} value = v;`;
    fallback = field.mapKind === "enum" ? String(field.enum.values[0].number) : zeroText(scalar, false);
  }
  return `function entry${field.number}(b, p, e, record, d) {
  let t, v, q, key, value;
  while (p < e) {
    t = b[p++];
    if (t > 127) { t = h.readTag(b, p - 1); p = cursor.at; }
    switch (t) {
      case ${keyTag}: { ${readKey} key = v; break; }
      case ${valueTag}: { ${read} break; }
      default: h.readUnknown(b, p, e, t, ${helpers.MAX_DEPTH} - d); p = cursor.at;
    }
  }
  if (p !== e) h.cutOff(${label});
  if (key === undefined) key = ${zeroText(field.mapKey, false)};
  if (value === undefined) value = ${fallback};
  h.setEntry(record, key, ${store});
}`;
}

/** A length into `q`, as the position where it ends. */
function readLength(label: string): string {
  return `q = b[p++]; if (q > 127) { q = h.readVarint32(b, p - 1) >>> 0; p = cursor.at; } q += p; if (!(q <= e)) h.cutOff(${label}); `;
}

/** A value into `v`, moving p. `limit` names the variable that ends the bytes. */
function readScalar(type: ScalarType, strict: boolean, longAsString: boolean, label: string, limit = "e"): string {
  const far = (text: string) => `v = b[p++]; if (v > 127) { v = ${text}; p = cursor.at; }`;
  const wide = (width: number, text: string) =>
    `if (p + ${width} > ${limit}) h.cutOff(${label}); v = ${text}; p += ${width};`;
  const long = (text: string) => (longAsString ? `${text} v = String(v);` : text);
  switch (type) {
    case ScalarType.STRING:
      return `${readLength(label)}v = h.readString(b, p, q, ${strict}); p = q;`;
    case ScalarType.BYTES:
      return `${readLength(label)}v = h.readBytes(b, p, q); p = q;`;
    case ScalarType.BOOL:
      return `v = b[p++]; if (v > 127) { v = h.readBool(b, p - 1); p = cursor.at; } else v = v !== 0;`;
    case ScalarType.INT32:
      return far("h.readVarint32(b, p - 1)");
    case ScalarType.UINT32:
      return far("h.readVarint32(b, p - 1) >>> 0");
    case ScalarType.SINT32:
      return `${far("h.readVarint32(b, p - 1)")} v = (v >>> 1) ^ -(v & 1);`;
    case ScalarType.INT64:
    case ScalarType.UINT64: {
      const read = type === ScalarType.INT64 ? "readInt64" : "readUint64";
      return long(`v = b[p++]; if (v < 128) v = SMALL[v]; else { v = h.${read}(b, p - 1); p = cursor.at; }`);
    }
    case ScalarType.SINT64:
      return long("v = h.readSint64(b, p); p = cursor.at;");
    case ScalarType.FIXED32:
      return wide(4, "h.readFixed32(b, p) >>> 0");
    case ScalarType.SFIXED32:
      return wide(4, "h.readFixed32(b, p)");
    case ScalarType.FLOAT:
      return wide(4, "h.readFloat(b, p)");
    case ScalarType.DOUBLE:
      return wide(8, "h.readDouble(b, p)");
    case ScalarType.FIXED64:
      return long(wide(8, "h.readFixed64(b, p)"));
    case ScalarType.SFIXED64:
      return long(wide(8, "h.readSfixed64(b, p)"));
  }
}

// === empty =========================================================================================================

function emptyText(desc: DescMessage): string {
  // Types whose defaults live on a prototype (proto2, editions with explicit presence) are made by protobuf-es.
  if (Object.getPrototypeOf(create(desc)) !== Object.prototype) return "const empty = create;";
  const properties = [`$typeName: ${str(desc.typeName)}`];
  for (const member of desc.members) {
    const name = `[${str(member.localName)}]`;
    if (member.kind === "oneof") properties.push(`${name}: { case: undefined }`);
    else if (member.fieldKind === "list") properties.push(`${name}: []`);
    else if (member.fieldKind === "map") properties.push(`${name}: {}`);
    else if (member.presence !== IMPLICIT || member.fieldKind === "message") continue;
    else if (member.fieldKind === "enum") properties.push(`${name}: ${member.enum.values[0].number}`);
    else properties.push(`${name}: ${zeroText(member.scalar, member.longAsString)}`);
  }
  return `function empty() { return { ${properties.join(", ")} }; }`;
}

function zeroText(type: ScalarType, longAsString: boolean): string {
  if (type === ScalarType.STRING) return '""';
  if (type === ScalarType.BYTES) return "NOTHING";
  if (type === ScalarType.BOOL) return "false";
  if (isLong(type)) return longAsString ? '"0"' : "0n";
  return "0";
}

// === what descriptors say ==========================================================================================

/** google.protobuf.FeatureSet.FieldPresence and google.protobuf.Edition. */
const IMPLICIT = 2;
const LEGACY_REQUIRED = 3;
const PROTO3 = 999;

function isLong(type: ScalarType): boolean {
  return (
    type === ScalarType.INT64 ||
    type === ScalarType.UINT64 ||
    type === ScalarType.SINT64 ||
    type === ScalarType.FIXED64 ||
    type === ScalarType.SFIXED64
  );
}

function wireTypeOf(type: ScalarType): number {
  if (type === ScalarType.STRING || type === ScalarType.BYTES) return 2;
  if (type === ScalarType.DOUBLE || type === ScalarType.FIXED64 || type === ScalarType.SFIXED64) return 1;
  return type === ScalarType.FLOAT || type === ScalarType.FIXED32 || type === ScalarType.SFIXED32 ? 5 : 0;
}

/** Messages of google/protobuf/wrappers.proto are plain values where they are singular fields outside a oneof. */
function isUnwrapped(field: DescField & { fieldKind: "message" }): boolean {
  return (
    field.oneof === undefined &&
    /^google\.protobuf\.((Double|Float|U?Int(32|64)|Bool|String|Bytes)Value)$/.test(field.message.typeName)
  );
}

function isStructField(field: DescField): boolean {
  return field.message?.typeName === "google.protobuf.Struct" && field.parent.typeName !== "google.protobuf.Value";
}

function tagBytes(number: number, wireType: number): string {
  let tag = ((number << 3) | wireType) >>> 0;
  let text = "";
  for (; tag > 127; tag >>>= 7) text += `b[p++] = ${(tag & 127) | 128}; `;
  return `${text}b[p++] = ${tag}; `;
}

function str(text: string): string {
  return JSON.stringify(text);
}
