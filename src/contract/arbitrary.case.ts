import fc from "fast-check";
import { type DescEnum, type DescField, type DescMessage, ScalarType } from "./runtime.ts";

/** Random initialisers for a message type, every field present or not; `depth` bounds recursion. */
export function arbitraryMessage(desc: DescMessage, depth = 3): fc.Arbitrary<Record<string, unknown>> {
  if (desc.typeName === "google.protobuf.Struct") {
    return fc
      .dictionary(fc.string({ maxLength: 4 }), arbitraryMessage(valueDesc(desc), depth - 1), {
        maxKeys: 2,
        noNullPrototype: true,
      })
      .map((fields) => ({ fields }));
  }
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of desc.members) {
    if (member.kind === "oneof") {
      const cases = member.fields
        .filter((field) => field.message === undefined || depth > 0)
        .map((field) => arbitrarySingular(field, depth).map((value) => ({ case: field.localName, value })));
      members[member.localName] = fc.oneof({ maxDepth: depth }, fc.constant({ case: undefined }), ...cases);
    } else if (member.message === undefined || depth > 0) members[member.localName] = arbitraryField(member, depth);
  }
  const required = desc.fields.filter((field) => field.presence === 3).map((field) => field.localName);
  return fc.record(members, { requiredKeys: required, noNullPrototype: true });
}

function valueDesc(struct: DescMessage): DescMessage {
  return struct.fields[0].message as DescMessage;
}

function arbitraryField(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.fieldKind === "list") return fc.array(arbitrarySingular(field, depth), { maxLength: 3 });
  if (field.fieldKind !== "map") return arbitrarySingular(field, depth);
  const key = fc.oneof(
    arbitraryScalar(field.mapKey).map(String),
    field.mapKey === ScalarType.STRING
      ? fc.constant("__proto__")
      : fc.constant("1").filter(() => field.mapKey !== ScalarType.BOOL),
  );
  const keys = field.mapKey === ScalarType.BOOL ? fc.constantFrom("true", "false") : key;
  return fc
    .array(fc.tuple(keys, arbitrarySingular(field, depth)), { maxLength: 3 })
    .map((entries) => Object.fromEntries(entries));
}

function arbitrarySingular(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.message !== undefined) {
    const { typeName } = field.message;
    if (typeName === "google.protobuf.Struct" && field.parent.typeName !== "google.protobuf.Value") {
      return fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), {
        maxKeys: 3,
        noNullPrototype: true,
      });
    }
    if (
      /^google\.protobuf\.\w+Value$/.test(typeName) &&
      typeName !== "google.protobuf.ListValue" &&
      field.fieldKind === "message" &&
      field.oneof === undefined
    ) {
      return arbitraryScalar(field.message.fields[0].scalar as ScalarType);
    }
    return arbitraryMessage(field.message, depth - 1);
  }
  if (field.enum !== undefined) return arbitraryEnum(field.enum);
  const scalar = arbitraryScalar(field.scalar as ScalarType);
  return "longAsString" in field && field.longAsString ? scalar.map(String) : scalar;
}

function arbitraryEnum(desc: DescEnum): fc.Arbitrary<number> {
  const known = fc.constantFrom(...desc.values.map(({ number }) => number));
  return desc.open ? fc.oneof(known, fc.integer()) : known;
}

function arbitraryScalar(type: ScalarType): fc.Arbitrary<unknown> {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: "binary", minLength: 100, maxLength: 300 }),
    fc.string({ minLength: 14, maxLength: 34 }),
  );
  switch (type) {
    case ScalarType.DOUBLE:
      return fc.double();
    case ScalarType.FLOAT:
      return fc.float();
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 200 });
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 64n - 1n));
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return fc.oneof(fc.bigInt(-300n, 300n), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n));
    default:
      return fc.oneof(fc.integer({ min: -300, max: 300 }), fc.integer());
  }
}
