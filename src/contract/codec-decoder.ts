import { MAX_DEPTH } from "./codec-cell.ts";
import { type ChildOf, IMPLICIT, isLong, isStructField, isUnwrapped, str, wireTypeOf } from "./codec-shape.ts";
import { create, type DescField, type DescMessage, ScalarType } from "./runtime.ts";

/** The text of a type's `decode`; codec-compile.ts shows what it looks like and what must hold in it. */
export function decoderText(desc: DescMessage, childOf: ChildOf): string {
  const type = str(desc.typeName);
  const structs = desc.fields.filter((field) => field.fieldKind === "message" && isStructField(field));
  const cases = desc.fields.map((field) => decodeField(field, childOf)).join("\n");
  const entries = desc.fields.map((field) => (field.fieldKind === "map" ? entryText(field, childOf) : "")).join("\n");
  // A Struct that is a field is JSON in the end, but stays a message while parts of it may still follow.
  const declare = structs.map((field) => `let s${field.number} = null;`).join(" ");
  const finish = structs.map(finishStruct).join("\n");
  return `${entries}
function decode(b, p, e, m, d) {
  if (d > ${MAX_DEPTH}) h.tooDeep(${type});
  let t, v, q;
  ${declare}
  while (p < e) {
    t = b[p++];
    if (t > 127) { t = h.readTag(b, p - 1); p = cursor.at; }
    switch (t) {
${cases}
      default: {
        const unknown = h.readUnknown(b, p, e, t, ${MAX_DEPTH} - d);
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
      default: h.readUnknown(b, p, e, t, ${MAX_DEPTH} - d); p = cursor.at;
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

/** The text of a type's `empty`. */
export function emptyText(desc: DescMessage): string {
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
