import { type DescField, type DescMessage, ScalarType } from "./runtime.ts";

/** What codec-encoder.ts and codec-decoder.ts ask of descriptors. */

/** The name of a child type's compiled functions in the text. */
export type ChildOf = (desc: DescMessage) => string;

/** google.protobuf.FeatureSet.FieldPresence and google.protobuf.Edition. */
export const IMPLICIT = 2;
export const LEGACY_REQUIRED = 3;
export const PROTO3 = 999;

export function isLong(type: ScalarType): boolean {
  return (
    type === ScalarType.INT64 ||
    type === ScalarType.UINT64 ||
    type === ScalarType.SINT64 ||
    type === ScalarType.FIXED64 ||
    type === ScalarType.SFIXED64
  );
}

export function wireTypeOf(type: ScalarType): number {
  if (type === ScalarType.STRING || type === ScalarType.BYTES) return 2;
  if (type === ScalarType.DOUBLE || type === ScalarType.FIXED64 || type === ScalarType.SFIXED64) return 1;
  return type === ScalarType.FLOAT || type === ScalarType.FIXED32 || type === ScalarType.SFIXED32 ? 5 : 0;
}

/** Messages of google/protobuf/wrappers.proto are plain values where they are singular fields outside a oneof. */
export function isUnwrapped(field: DescField & { fieldKind: "message" }): boolean {
  return (
    field.oneof === undefined &&
    /^google\.protobuf\.((Double|Float|U?Int(32|64)|Bool|String|Bytes)Value)$/.test(field.message.typeName)
  );
}

export function isStructField(field: DescField): boolean {
  return field.message?.typeName === "google.protobuf.Struct" && field.parent.typeName !== "google.protobuf.Value";
}

/** The only way for a name into compiled text. */
export function str(text: string): string {
  return JSON.stringify(text);
}
