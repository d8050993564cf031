import type { Endpoint } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { BackendChange, KeptEntry } from "../../registry/endpoint-backend.ts";
import type { EndpointEntry } from "../../registry/endpoint-value.ts";
import type { ApiObject } from "./api-resource.ts";
import type { ObjectEvent } from "./list-watch.ts";
import { readServiceSlice } from "./service-slice.ts";
import { decodeSlice, MANAGED_BY, SYSTEM_LABEL, WEFT } from "./weft-slice.ts";

export interface SliceViewOptions {
  system: string;
  /** What a resourceVersion is told as. */
  versionOf: (resourceVersion: string) => number;
  /** Whether a plane's sign of life has ended. */
  isDead: (plane: string) => boolean;
  /** A slice cannot be used, and is left out. */
  onUnusable: (error: WeftError) => void;
}

/**
 * The entries that a namespace's EndpointSlices make, as a pure machine: slices come in, changes of entries come out.
 *
 * Invariants (slice-view.test.ts, by number):
 *  S1 applying the changes in order to an empty set gives entries();
 *  S2 what weft registered hides what Kubernetes has of the same address and service (a pod that registers itself and is behind a Service): it is one endpoint;
 *  S3 an address in several slices of a service, as while Kubernetes moves it, is one endpoint until it is in none;
 *  S4 slices of other systems are nobody's here, and what cannot be read changes nothing but itself.
 */
export class SliceView {
  readonly #options: SliceViewOptions;
  readonly #slices = new Map<string, Slice>();
  /** By id. */
  readonly #own = new Map<string, Own>();
  /** Ids of weft's at an address. */
  readonly #addresses = new Map<string, Set<string>>();
  /** By id, then by slice. */
  readonly #others = new Map<string, Map<string, Endpoint>>();
  readonly #told = new Map<string, KeptEntry>();
  readonly #touched = new Set<string>();
  #version = 0;

  constructor(options: SliceViewOptions) {
    this.#options = options;
  }

  /** The version and kind of addresses of an entry's slice; null: it is not known. */
  sliceOf(id: string): Omit<Own, "entry"> | null {
    const own = this.#own.get(id);
    return own === undefined ? null : { version: own.version, addressType: own.addressType };
  }

  /** The planes that entries name. */
  planes(): Set<string> {
    return new Set(Array.from(this.#own.values(), ({ entry }) => entry.plane));
  }

  /** Everything that there is as of a version. What was known is forgotten: nothing of it is told as a change. */
  listed(objects: readonly ApiObject[], resourceVersion: string): readonly KeptEntry[] {
    this.#slices.clear();
    this.#own.clear();
    this.#addresses.clear();
    this.#others.clear();
    this.#told.clear();
    this.#version = this.#options.versionOf(resourceVersion);
    for (const object of objects) this.#put(object);
    const ids = [...this.#own.keys(), ...this.#others.keys()];
    this.#touched.clear();
    for (const id of ids) {
      const kept = this.#kept(id);
      if (kept !== null) this.#told.set(id, kept);
    }
    return [...this.#told.values()];
  }

  take(events: readonly ObjectEvent[]): readonly BackendChange[] {
    const changes: BackendChange[] = [];
    for (const { kind, object } of events) {
      this.#version = this.#options.versionOf(object.metadata.resourceVersion);
      this.#drop(object.metadata.name);
      if (kind === "put") this.#put(object);
      changes.push(...this.#changes());
    }
    return changes;
  }

  /** A plane's sign of life has ended, or is back. */
  planeChanged(plane: string): readonly BackendChange[] {
    for (const [id, { entry }] of this.#own) if (entry.plane === plane) this.#touched.add(id);
    return this.#changes();
  }

  #put(object: ApiObject): void {
    const { name, labels, resourceVersion } = object.metadata;
    const weft = labels[MANAGED_BY] === WEFT;
    if (weft && labels[SYSTEM_LABEL] !== this.#options.system) return;
    try {
      if (weft) this.#putOwn(name, object, this.#options.versionOf(resourceVersion));
      else this.#putOthers(name, readServiceSlice(object));
    } catch (cause) {
      const why = printable((cause as Error).message, 300);
      const text = `the EndpointSlice ${printable(name, 253)} cannot be used: ${why}`;
      this.#options.onUnusable(new WeftError("failed_precondition", text, { reason: "BAD_ENDPOINT_VALUE" }));
    }
  }

  #putOwn(name: string, object: ApiObject, version: number): void {
    const entry = decodeSlice(object, this.#options.system);
    const { id } = entry.endpoint;
    const address = addressOf(entry.endpoint);
    this.#slices.set(name, { own: id, others: [] });
    this.#own.set(id, { entry, version, addressType: object.content.addressType === "IPv6" ? "IPv6" : "IPv4" });
    let ids = this.#addresses.get(address);
    if (ids === undefined) this.#addresses.set(address, (ids = new Set()));
    ids.add(id);
    this.#touched.add(id).add(otherId(entry.endpoint));
  }

  #putOthers(name: string, endpoints: readonly Endpoint[]): void {
    this.#slices.set(name, { own: null, others: endpoints.map(({ id }) => id) });
    for (const endpoint of endpoints) {
      let slices = this.#others.get(endpoint.id);
      if (slices === undefined) this.#others.set(endpoint.id, (slices = new Map()));
      slices.set(name, endpoint);
      this.#touched.add(endpoint.id);
    }
  }

  #drop(name: string): void {
    const slice = this.#slices.get(name);
    if (slice === undefined) return;
    this.#slices.delete(name);
    for (const id of slice.others) {
      const slices = this.#others.get(id);
      slices?.delete(name);
      if (slices?.size === 0) this.#others.delete(id);
      this.#touched.add(id);
    }
    if (slice.own === null) return;
    const own = this.#own.get(slice.own);
    if (own === undefined) return;
    const { endpoint } = own.entry;
    const address = addressOf(endpoint);
    const ids = this.#addresses.get(address);
    ids?.delete(endpoint.id);
    if (ids?.size === 0) this.#addresses.delete(address);
    this.#own.delete(endpoint.id);
    this.#touched.add(endpoint.id).add(otherId(endpoint));
  }

  #changes(): BackendChange[] {
    const changes: BackendChange[] = [];
    for (const id of this.#touched) {
      const before = this.#told.get(id);
      const after = this.#kept(id);
      if (after === null) {
        if (before === undefined) continue;
        this.#told.delete(id);
        changes.push({ kind: "removed", id, orphaned: false, version: this.#version });
      } else if (before === undefined || !isSame(before, after)) {
        this.#told.set(id, after);
        changes.push({ kind: "put", ...after });
      }
    }
    this.#touched.clear();
    return changes;
  }

  /** What is to be seen of an id; null: nothing. */
  #kept(id: string): KeptEntry | null {
    const own = this.#own.get(id);
    if (own !== undefined) {
      const { entry, version } = own;
      return { entry, version, orphaned: this.#options.isDead(entry.plane) };
    }
    const slices = this.#others.get(id);
    if (slices === undefined) return null;
    // While it moves, the newer slice says how it is.
    const endpoint = [...slices.values()].at(-1) as Endpoint;
    if (this.#addresses.has(addressOf(endpoint))) return null;
    const ttlMs = Number.POSITIVE_INFINITY;
    return { entry: { endpoint, check: "healthy", owner: "", plane: "", ttlMs }, version: this.#version };
  }
}

interface Own {
  readonly entry: EndpointEntry;
  readonly version: number;
  readonly addressType: "IPv4" | "IPv6";
}

interface Slice {
  /** The id of weft's entry in it. */
  readonly own: string | null;
  /** The ids of others' endpoints in it. */
  readonly others: readonly string[];
}

function addressOf({ service, host, port }: Endpoint): string {
  return `${service} ${host.toLowerCase()} ${port}`;
}

/** The id that Kubernetes' endpoint of the same address has (service-slice.ts). */
function otherId({ service, host, port }: Endpoint): string {
  return `${service}/${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function isSame(a: KeptEntry, b: KeptEntry): boolean {
  if (a.orphaned !== b.orphaned || a.entry.owner !== b.entry.owner) return false;
  if (b.entry.owner !== "") return a.version === b.version;
  return JSON.stringify(a.entry.endpoint) === JSON.stringify(b.entry.endpoint);
}
