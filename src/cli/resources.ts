import { stringify } from "yaml";
import { formatPath } from "../host/problems.ts";
import type { System } from "../host/resolve-system.ts";
import type { ResourceBuilder } from "../host/system.ts";
import type { DataPlane } from "../policy/check/enforcement.ts";
import { publishWarnings } from "../policy/check/publish-warnings.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import { type ParsedResources, parseResources } from "../policy/resource/validate.ts";

/**
 * The resources that a system's routes and policies make, checked whole: throws `invalid_argument` with everything that is wrong, each with the line of the
 * description that it comes from, and what nothing in the system enforces among the warnings. What a builder made stands at the builder's line.
 */
export function systemResources(system: System): ParsedResources {
  const services = [...new Set(system.units.map((unit) => unit.service))];
  const parsed = parseResources(systemDocuments(system), { services });
  return { ...parsed, warnings: publishWarnings(parsed, planesOf(system)).told };
}

/** Where a system enforces policy. What registers by itself is weft's, with typed clients; what the host registers may be anything. */
function planesOf({ gateway, units }: System): DataPlane[] {
  const planes: DataPlane[] = gateway === null ? [] : ["gateway"];
  return units.some(({ register }) => register === "self") ? [...planes, "client", "server"] : planes;
}

/** The same unchecked, each document with its places. */
export function systemDocuments(system: System): ResourceDocument[] {
  const { file, locate } = system;
  return system.resources.flatMap(({ path, value }) => {
    if (value instanceof ResourceDocument) return [value];
    const { resources } = (value ?? {}) as Partial<ResourceBuilder>;
    if (typeof resources !== "function") {
      return [
        new ResourceDocument(value, (field) => ({
          file,
          ...locate([...path, ...field]),
          field: formatPath([...path, ...field]),
        })),
      ];
    }
    const place = { file, ...locate(path) };
    const made = resources.call(value) as readonly unknown[];
    return made.map(
      (resource) =>
        new ResourceDocument(resource, (field) => ({ ...place, field: `${formatPath(path)} -> ${formatPath(field)}` })),
    );
  });
}

/** The same as YAML, a document each. */
export function resourcesAsYaml(system: System): string {
  return systemResources(system)
    .resources.map((resource) => stringify(resource, { aliasDuplicateObjects: false, lineWidth: 0 }))
    .join("---\n");
}
