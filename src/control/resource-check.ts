import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { parseResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import type { StoredContract } from "./contract-store.ts";

/**
 * Parses, validates and compiles a set of resources against the methods that are known now, as every process will. `text`: YAML documents, or JSON (a
 * resource or an array of them). Throws `invalid_argument` that says everything that is wrong, with its places in `source`.
 */
export function checkResources(
  text: string,
  source: string,
  contracts: readonly StoredContract[],
): readonly Resource[] {
  const documents = readResourceDocuments(text, source).flatMap((document) =>
    Array.isArray(document.value)
      ? document.value.map((item, index) => new ResourceDocument(item, (path) => document.placeOf([index, ...path])))
      : [document],
  );
  const { resources } = parseResources(documents);
  createPolicyRuntime().applyResources(1, resources, methodsOf(contracts));
  return resources;
}

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
