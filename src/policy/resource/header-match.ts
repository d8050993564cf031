import { FIELD_NAME, FIELD_VALUE } from "./common-shapes.ts";
import { list, object } from "./shape.ts";

/** A header field that a request must have. */
export interface HeaderMatch {
  readonly name: string;
  /** Absent: whatever its value is. */
  readonly value?: string;
}

export const headerMatches = list(object({ name: FIELD_NAME, value: FIELD_VALUE }, ["name"]), 0, 16);

/** Names in lower case, as fields have them. */
export function compileMatches(matches: readonly HeaderMatch[] | undefined): readonly HeaderMatch[] {
  return (matches ?? []).map(({ name, value }) => ({
    name: name.toLowerCase(),
    ...(value === undefined ? {} : { value }),
  }));
}

export function hasField(fields: readonly string[], { name, value }: HeaderMatch): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name && (value === undefined || fields[i + 1] === value)) return true;
  }
  return false;
}
