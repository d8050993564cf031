import { formatPlace } from "../core/errors.ts";
import { EndpointTable } from "../policy/balance/endpoint-table.ts";
import type { DataPlane } from "../policy/check/enforcement.ts";
import { publishWarnings } from "../policy/check/publish-warnings.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { parseResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { Snapshot } from "../policy/snapshot/snapshot.ts";
import { StateKeeper } from "../policy/snapshot/state-keeper.ts";
import type { StoredContract } from "./contract-store.ts";
import type { CheckedResources } from "./ledger.ts";

/**
 * Checks sets of resources before they are published. What stands word for word in the set that was checked last is not looked at again by itself, only together with
 * the others: of a thousand resources a revision mostly changes a few.
 */
export class ResourceChecker {
  /** Of the last set that was right, by its JSON. */
  #known = new Map<string, Resource>();
  #checked = new WeakSet<object>();

  /**
   * Parses, validates and compiles a set of resources against the methods that are known now, as every process will. `text`: YAML documents, or JSON (a
   * resource or an array of them). `planes`: where policy is enforced in the system. Throws `invalid_argument` that says everything that is wrong, with its places
   * in `source`.
   */
  check(
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
    const texts = new Map<unknown, string>();
    const again = documents.map((document) => {
      const json = JSON.stringify(document.value) ?? "";
      const known = this.#known.get(json);
      const value = known ?? document.value;
      texts.set(value, json);
      return known === undefined ? document : new ResourceDocument(known, (path) => document.placeOf(path));
    });
    const parsed = parseResources(again, { checked: this.#checked });
    const { resources } = parsed;
    new Snapshot(1, resources, methodsOf(contracts), new EndpointTable(), new StateKeeper());
    const warnings = publishWarnings(parsed, planes).map(({ place, message }) => `${formatPlace(place)}: ${message}`);
    const more = warnings.splice(MAX_WARNINGS).length;
    const known = resources.map((resource) => texts.get(resource) ?? JSON.stringify(resource));
    this.#known = new Map(resources.map((resource, i) => [known[i], resource]));
    for (const resource of resources) this.#checked.add(resource);
    return { resources, texts: known, warnings: more === 0 ? warnings : [...warnings, `and ${more} more`] };
  }
}

const MAX_WARNINGS = 200;

/** Methods of all services, for policy. */
export function methodsOf(contracts: readonly StoredContract[]): MethodInfo[] {
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
