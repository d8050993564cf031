import { Document } from "yaml";
import type { System } from "../host/resolve-system.ts";
import type { ResourceBuilder } from "../host/system.ts";
import type { Resource } from "../policy/resources.ts";

/** The resources that a system's routes and policies make. */
export function systemResources(system: System): Resource[] {
  return system.resources.flatMap(({ value }) => {
    const builder = value as Partial<ResourceBuilder>;
    return typeof builder.resources === "function" ? [...builder.resources()] : [value as Resource];
  });
}

/** The same as YAML, a document each. */
export function resourcesAsYaml(system: System): string {
  return systemResources(system)
    .map((resource) =>
      new Document(resource, { aliasDuplicateObjects: false }).toString({ lineWidth: 0, directives: false }),
    )
    .join("---\n");
}
