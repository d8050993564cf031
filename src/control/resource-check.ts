import { parseAllDocuments } from "yaml";
import { systemRandom } from "../core/random.ts";
import { createPolicyRuntime } from "../policy/create-runtime.ts";
import type { Resource } from "../policy/resources.ts";
import type { StoredContract } from "./contract-store.ts";
export function checkResources(text: string, _source: string, _contracts: readonly StoredContract[]): readonly Resource[] {
  const resources = parseAllDocuments(text).flatMap((d) => d.toJSON()) as Resource[];
  createPolicyRuntime({ random: systemRandom }).applyResources(1, resources, []);
  return resources;
}
