import { WeftError } from "../../core/errors.ts";
import type { XdsResource, XdsSnapshot, XdsSource } from "./types.ts";

/** Resources that somebody made, the same for every node; replaced as a whole. */
export class StaticSource implements XdsSource {
  #snapshot: XdsSnapshot;
  readonly #listeners = new Set<() => void>();

  constructor(resources: readonly XdsResource[]) {
    this.#snapshot = snapshotOf(1, resources, null);
  }

  get revision(): number {
    return this.#snapshot.revision;
  }

  open(_: unknown, changed: () => void): { readonly snapshot: XdsSnapshot; close(): void } {
    const current = () => this.#snapshot;
    this.#listeners.add(changed);
    return {
      get snapshot() {
        return current();
      },
      close: () => this.#listeners.delete(changed),
    };
  }

  /** Throws `invalid_argument` and changes nothing when two resources of one type have the same name. */
  update(resources: readonly XdsResource[]): void {
    this.#snapshot = snapshotOf(this.#snapshot.revision + 1, resources, this.#snapshot);
    for (const listener of this.#listeners) listener();
  }
}

/** What is as it was in `before` stays the same object. */
function snapshotOf(revision: number, list: readonly XdsResource[], before: XdsSnapshot | null): XdsSnapshot {
  const resources = new Map<string, Map<string, XdsResource>>();
  for (const resource of list) {
    let named = resources.get(resource.typeUrl);
    if (named === undefined) resources.set(resource.typeUrl, (named = new Map()));
    if (named.has(resource.name)) {
      const kind = resource.typeUrl.slice(resource.typeUrl.lastIndexOf(".") + 1);
      throw new WeftError("invalid_argument", `there are two ${kind}s named "${resource.name}"`, {
        reason: "SAME_NAME",
      });
    }
    const known = before?.resources.get(resource.typeUrl)?.get(resource.name);
    named.set(resource.name, known?.version === resource.version ? known : resource);
  }
  const kept = new Map<string, ReadonlyMap<string, XdsResource>>();
  for (const [typeUrl, named] of resources) {
    const known = before?.resources.get(typeUrl);
    const same = known?.size === named.size && [...named.values()].every((one) => known.get(one.name) === one);
    kept.set(typeUrl, same && known !== undefined ? known : named);
  }
  return Object.freeze({ revision, version: String(revision), resources: kept });
}
