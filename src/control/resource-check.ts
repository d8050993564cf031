import { formatPlace } from "../core/errors.ts";
import type { DataPlane } from "../policy/check/enforcement.ts";
import { publishWarnings } from "../policy/check/publish-warnings.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import { parseResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import type { StoredContract } from "./contract-store.ts";
import type { CheckedResources } from "./ledger.ts";

/**
 * Parses, validates and compiles a set of resources against the methods that are known now, as every process will. `text`: YAML documents, or JSON (a
 * resource or an array of them). `planes`: where policy is enforced in the system. Throws `invalid_argument` that says everything that is wrong, with its places in
 * `source`.
 */
export function checkResources(
  text: string,
  source: string,
  contracts: readonly StoredContract[],
  planes: readonly DataPlane[],
): CheckedResources {
  const documents = readResourceDocuments(text, source).flatMap((document) =>
    Array.isArray(document.value)
      ? document.value.map((item, index) => new ResourceDocument(item, (path) => document.placeOf([index, ...path])))
      : [document],
  );
  const parsed = parseResources(documents);
  const { resources } = parsed;
  createPolicyRuntime().applyResources(1, resources, methodsOf(contracts));
  const warnings = publishWarnings(parsed, planes).map(({ place, message }) => `${formatPlace(place)}: ${message}`);
  const more = warnings.splice(MAX_WARNINGS).length;
  return { resources, warnings: more === 0 ? warnings : [...warnings, `and ${more} more`] };
}

const MAX_WARNINGS = 200;

function methodsOf(contracts: readonly StoredContract[]): MethodInfo[] {
  return contracts.flatMap(({ service, methods }) =>
    (methods.methods ?? []).map((method) => ({
      path: method.path ?? "",
      service,
      idempotent: method.idempotent === true,
      clientStreaming: method.clientStreaming === true,
      serverStreaming: method.serverStreaming === true,
    })),
  );
}
