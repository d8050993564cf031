import { formatPlace } from "../core/errors.ts";
import { EndpointTable } from "../policy/balance/endpoint-table.ts";
import type { DataPlane } from "../policy/check/enforcement.ts";
import { publishWarnings } from "../policy/check/publish-warnings.ts";
import { JsonPlaces } from "../policy/resource/json-places.ts";
import { KnownResources, type ReadResources } from "../policy/resource/known-resources.ts";
import { readResourceDocuments } from "../policy/resource/read-resource-documents.ts";
import { ResourceDocument } from "../policy/resource/resource-document.ts";
import { parseResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { Snapshot } from "../policy/snapshot/snapshot.ts";
import { StateKeeper } from "../policy/snapshot/state-keeper.ts";
import type { StoredContract } from "./contract-store.ts";
import type { CheckedResources } from "./publication.ts";

/**
 * Checks sets of resources before they are published. What stands word for word in the set that was checked last is not looked at again by itself, only together with
 * the others: of a thousand resources a revision mostly changes a few.
 */
export class ResourceChecker {
  readonly #known = new KnownResources();
  readonly #checked = new WeakSet<object>();

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
    const written = this.#known.read(text);
    const documents = written === null ? read(text, source) : placed(written, source);
    const parsed = parseResources(documents, { checked: this.#checked });
    const { resources } = parsed;
    new Snapshot(1, resources, methodsOf(contracts), new EndpointTable(), new StateKeeper());
    const { told, more } = publishWarnings(parsed, planes, MAX_WARNINGS);
    const warnings = told.map(({ place, message }) => `${formatPlace(place)}: ${message}`);
    for (const resource of resources) this.#checked.add(resource);
    // Of kinds without an effect fewer come out than went in.
    const whole = written !== null && resources.length === written.values.length;
    const texts = whole ? written.texts : resources.map((resource) => JSON.stringify(resource));
    this.#known.keep({ values: resources, texts });
    return { resources, texts, warnings: more === 0 ? warnings : [...warnings, `and ${more} more`] };
  }
}

/** Of an array every item is a document. */
function read(text: string, source: string): ResourceDocument[] {
  return readResourceDocuments(text, source).flatMap((document) =>
    Array.isArray(document.value)
      ? document.value.map((item, index) => new ResourceDocument(item, (path) => document.placeOf([index, ...path])))
      : [document],
  );
}

function placed({ values, texts }: ReadResources, source: string): ResourceDocument[] {
  const places = new JsonPlaces(values, source, texts);
  return values.map((value, index) => new ResourceDocument(value, (path) => places.placeOf([index, ...path])));
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
