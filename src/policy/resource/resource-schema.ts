import { IGNORED_KINDS } from "./ignored-kinds.ts";
import type { JsonSchema } from "./json-schema.ts";
import { RESOURCE_SHAPES } from "./resource-shapes.ts";
import type { ResourceKind } from "./resources.ts";

/** Schemas of all kinds of resource by their names, made of the shapes that check them. */
export function resourceSchemas(): Record<ResourceKind, JsonSchema> {
  const entries = Object.entries(RESOURCE_SHAPES).map(([kind, { schema = {} }]) => [kind, schema]);
  return Object.fromEntries(entries) as Record<ResourceKind, JsonSchema>;
}

/**
 * The schema of any resource, given where each kind's stands. A chain of conditions on `kind`, so that an editor complains about the kind that is meant and not
 * about all of them.
 */
export function anyResource(refOf: (kind: ResourceKind) => string): JsonSchema {
  const kinds = Object.keys(RESOURCE_SHAPES) as ResourceKind[];
  return {
    type: "object",
    required: ["kind"],
    properties: { kind: { enum: [...kinds, ...Object.keys(IGNORED_KINDS)] } },
    allOf: kinds.map((kind) => ({
      if: { properties: { kind: { const: kind } }, required: ["kind"] },
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word
      then: { $ref: refOf(kind) },
    })),
  };
}
