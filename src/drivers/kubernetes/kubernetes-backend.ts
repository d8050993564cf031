import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, type WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import type { BackendChange, BackendEvents, EndpointBackend, KeptEntry } from "../../registry/endpoint-backend.ts";
import type { EndpointEntry } from "../../registry/endpoint-value.ts";
import { PlaneSigns } from "../../registry/plane-signs.ts";
import { ApiClient } from "./api-client.ts";
import { ENDPOINT_SLICES, LEASES, parseObject } from "./api-resource.ts";
import type { ClusterAccess } from "./cluster-access.ts";
import { listObjects, type ObjectList } from "./list-objects.ts";
import { ListWatch, type ObjectEvent } from "./list-watch.ts";
import { leaseName, PlaneLease, planeOf } from "./plane-lease.ts";
import { SliceView } from "./slice-view.ts";
import { VersionLine, type VersionMark } from "./version-line.ts";
import { addressTypeOf, decodeSlice, encodeSlice, MANAGED_BY, SYSTEM_LABEL, sliceName, WEFT } from "./weft-slice.ts";

export interface KubernetesBackendOptions {
  access: ClusterAccess;
  system: string;
  clock: Clock;
  random: Random;
  /** How long a control plane may be silent until what it registered is orphaned, ms. */
  planeLeaseMs?: number;
}

/**
 * Entries in the EndpointSlices of a namespace: weft's own (weft-slice.ts), and those that Kubernetes makes for Services, which are only read. Two watches follow them and the planes' Leases; a beat each
 * BEAT_MS asks whether the API server and etcd answer, for a watch is silent when nothing happens as it is when nobody is there.
 */
export class KubernetesBackend implements EndpointBackend {
  readonly name: string;
  readonly #options: KubernetesBackendOptions;
  readonly #client: ApiClient;
  /** By their Leases' versions. */
  readonly #planes: PlaneSigns<string>;
  readonly #view: SliceView;
  readonly #versions = new VersionLine();
  readonly #unusable = new Set<string>();
  readonly #periodMs: number;
  #plane = "";
  #events: BackendEvents | null = null;
  #lease: PlaneLease | null = null;
  #slices: ListWatch | null = null;
  #leases: ListWatch | null = null;
  #stopBeating: Cancel = ignore;
  #beatAt = 0;
  /** Of which everything was told last. */
  #data = 0;
  #lost = false;
  #closed = false;

  constructor(options: KubernetesBackendOptions) {
    const { access, clock, random, planeLeaseMs = PLANE_LEASE_MS } = options;
    this.#options = options;
    this.#client = new ApiClient({ access, clock, random });
    this.#periodMs = planeLeaseMs;
    this.name = `Kubernetes at ${this.#client.address}`;
    this.#planes = new PlaneSigns(planeLeaseMs);
    this.#view = this.#newView();
  }

  async follow(plane: string, events: BackendEvents): Promise<void> {
    const { system, clock, random } = this.#options;
    const client = this.#client;
    this.#plane = plane;
    this.#events = events;
    this.#lease = new PlaneLease({
      client,
      clock,
      system,
      plane,
      periodMs: this.#periodMs,
      buriedMs: BURY_PERIODS * this.#periodMs,
    });
    const backOff = new BackOff(random, { baseMs: 50, maxMs: 1_000 });
    // Before anything is put, so that nobody takes it for an orphan.
    for (;;) {
      try {
        await this.#lease.beat(BEAT_TIMEOUT_MS);
        break;
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (this.#closed || !isAway(error)) throw error;
        this.#tellLost(error);
        await new Promise<void>((resolve) => void clock.after(backOff.next(), resolve));
      }
    }
    await new Promise<void>((resolve, reject) => {
      let first = true;
      const onState = (failure: WeftError | null): void => {
        if (failure === null || this.#closed) return;
        if (first && !isAway(failure)) reject(failure);
        if (failure.reason !== "GONE") this.#tellLost(failure);
      };
      const followed = (): void => {
        if (this.#slices === null) this.#slices = new ListWatch({ ...shared, ...ofSlices });
      };
      const shared = { client, clock, random, onState };
      let mark = this.#versions.mark;
      const ofSlices = {
        beforeList: () => {
          mark = this.#versions.mark;
        },
        resource: ENDPOINT_SLICES,
        selector: {},
        onList: async (list: ObjectList) => {
          await this.#lease?.beat(BEAT_TIMEOUT_MS); // which knows whether it was lost
          if (this.#closed) return;
          this.#whole(list, mark);
          if (!first) return;
          first = false;
          this.#beatAt = clock.now();
          this.#beatSoon();
          resolve();
        },
        onEvents: (changes: readonly ObjectEvent[]) => this.#tell(this.#takeSlices(changes)),
      };
      this.#leases = new ListWatch({
        ...shared,
        resource: LEASES,
        selector: this.#selector(),
        onList: (list) => {
          this.#listPlanes(list);
          followed();
        },
        onEvents: (changes) => this.#takePlanes(changes),
      });
    });
  }

  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    const { system, clock } = this.#options;
    const { id } = entry.endpoint;
    const known = this.#view.sliceOf(id);
    const addressType = known?.version === expected ? known.addressType : undefined;
    const resourceVersion = expected === 0 ? "" : this.#versions.resourceVersionOf(expected);
    if (resourceVersion === null) return null; // it is of other data
    const deadline = clock.now() + CALL_MS;
    const write = (slice: ReturnType<typeof encodeSlice>) =>
      this.#write(sliceName(system, id), slice, resourceVersion, deadline - clock.now());
    try {
      return await write(encodeSlice(entry, system, addressType)).catch((thrown) => {
        // A slice never changes its kind of addresses, and this one's was not known.
        if (toWeftError(thrown).place?.field !== "addressType" || addressType !== undefined) throw thrown;
        return write(encodeSlice(entry, system, addressTypeOf(entry.endpoint) === "IPv4" ? "IPv6" : "IPv4"));
      });
    } catch (thrown) {
      const { reason } = toWeftError(thrown);
      if (reason === "ALREADY_EXISTS") return this.#overwrite(entry, deadline - clock.now());
      if (reason === "CONFLICT" || reason === "NO_SUCH_OBJECT") return null;
      throw thrown;
    }
  }

  /** What cannot be read is nobody's: whoever registers its id writes over it. */
  async #overwrite(entry: EndpointEntry, timeoutMs: number): Promise<number | null> {
    const { system, clock } = this.#options;
    const deadline = clock.now() + timeoutMs;
    const name = sliceName(system, entry.endpoint.id);
    try {
      const { object, entry: there } = await this.#get(name, timeoutMs);
      if (there !== null) return null;
      const addressType = object.content.addressType === "IPv6" ? "IPv6" : "IPv4";
      const slice = encodeSlice(entry, system, addressType);
      return await this.#write(name, slice, object.metadata.resourceVersion, deadline - clock.now());
    } catch (thrown) {
      const { reason } = toWeftError(thrown);
      if (reason === "CONFLICT" || reason === "NO_SUCH_OBJECT") return null;
      throw thrown;
    }
  }

  async remove(id: string, owner: string): Promise<void> {
    const { system, clock } = this.#options;
    const name = sliceName(system, id);
    const deadline = clock.now() + CALL_MS;
    for (;;) {
      const leftMs = deadline - clock.now();
      try {
        const { object, entry } = await this.#get(name, leftMs);
        if (entry?.owner !== owner) return;
        const { uid, resourceVersion } = object.metadata;
        const body = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid, resourceVersion } };
        await this.#client.ask({ verb: "delete", resource: ENDPOINT_SLICES, name, body }, deadline - clock.now());
        return;
      } catch (thrown) {
        const { reason } = toWeftError(thrown);
        if (reason === "NO_SUCH_OBJECT") return;
        if (reason !== "CONFLICT" || clock.now() >= deadline) throw thrown;
      }
    }
  }

  async get(id: string): Promise<KeptEntry | null> {
    try {
      const { object, entry } = await this.#get(sliceName(this.#options.system, id), CALL_MS);
      if (entry === null) return null;
      const version = this.#versions.of(object.metadata.resourceVersion);
      return { entry, version, orphaned: this.#planes.isDead(entry.plane) };
    } catch (thrown) {
      if (toWeftError(thrown).reason === "NO_SUCH_OBJECT") return null;
      throw thrown;
    }
  }

  async read(): Promise<readonly KeptEntry[]> {
    const { mark } = this.#versions;
    const { objects, resourceVersion } = await listObjects(this.#client, ENDPOINT_SLICES, {}, { timeoutMs: CALL_MS });
    if (this.#versions.isReplaced(resourceVersion, mark)) this.#relist();
    return this.#newView().listed(objects, resourceVersion);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopBeating();
    this.#slices?.close();
    this.#leases?.close();
    await this.#lease?.end(CLOSE_MS).catch(ignore); // then the others see that it is silent
    this.#client.close();
  }

  /** `resourceVersion`: of what is there; "": nothing is. */
  async #write(
    name: string,
    slice: ReturnType<typeof encodeSlice>,
    resourceVersion: string,
    timeoutMs: number,
  ): Promise<number> {
    const { mark } = this.#versions;
    const resource = ENDPOINT_SLICES;
    const body = { ...slice, metadata: { ...slice.metadata, ...(resourceVersion !== "" && { resourceVersion }) } };
    const written = await (resourceVersion === ""
      ? this.#client.ask({ verb: "create", resource, body }, timeoutMs)
      : this.#client.ask({ verb: "update", resource, name, body }, timeoutMs));
    const { metadata } = parseObject(written);
    // What changes nothing keeps its version.
    const wrote = metadata.resourceVersion !== resourceVersion;
    if (wrote && this.#versions.isReplaced(metadata.resourceVersion, mark)) this.#relist();
    return this.#versions.of(metadata.resourceVersion);
  }

  async #get(name: string, timeoutMs: number) {
    const object = parseObject(await this.#client.ask({ verb: "get", resource: ENDPOINT_SLICES, name }, timeoutMs));
    try {
      return { object, entry: decodeSlice(object, this.#options.system) };
    } catch {
      return { object, entry: null }; // whoever registers it writes over it
    }
  }

  /** Everything is told anew. */
  #whole({ objects, resourceVersion }: ObjectList, mark: VersionMark): void {
    this.#versions.isReplaced(resourceVersion, mark);
    const { data } = this.#versions.mark;
    const entries = this.#view.listed(objects, resourceVersion);
    const now = this.#options.clock.now();
    for (const plane of this.#view.planes()) this.#mention(plane, now);
    if (this.#lost) this.#planes.outOfTouch(now);
    this.#lost = false;
    const lost = this.#lease?.takeLost() === true || data !== this.#data;
    this.#data = data;
    this.#events?.whole(entries, lost);
  }

  #takeSlices(events: readonly ObjectEvent[]): readonly BackendChange[] {
    const changes = this.#view.take(events);
    const now = this.#options.clock.now();
    for (const change of changes) if (change.kind === "put") this.#mention(change.entry.plane, now);
    return changes;
  }

  #mention(plane: string, now: number): void {
    if (plane !== "" && plane !== this.#plane) this.#planes.named(plane, now);
  }

  #tell(changes: readonly BackendChange[]): void {
    if (changes.length > 0 && !this.#closed) this.#events?.changed(changes);
  }

  #listPlanes({ objects }: ObjectList): void {
    const { system, clock } = this.#options;
    const now = clock.now();
    for (const object of objects) {
      const plane = planeOf(object, system);
      if (plane === null || plane === this.#plane) continue;
      if (this.#planes.seen(plane, object.metadata.resourceVersion, now)) this.#tell(this.#view.planeChanged(plane));
    }
    // Not told as dead at once: after data were lost each of them makes its Lease anew.
    this.#planes.outOfTouch(now);
  }

  #takePlanes(events: readonly ObjectEvent[]): void {
    const { system, clock } = this.#options;
    const now = clock.now();
    for (const { kind, object } of events) {
      const plane = planeOf(object, system);
      if (plane === null || plane === this.#plane) continue;
      const { resourceVersion } = object.metadata;
      const changed = kind === "put" ? this.#planes.seen(plane, resourceVersion, now) : this.#planes.ended(plane, now);
      if (changed) this.#tell(this.#view.planeChanged(plane));
    }
  }

  #beatSoon(): void {
    const { clock } = this.#options;
    this.#stopBeating = clock.after(this.#lost ? BEAT_MS.lost : BEAT_MS.usual, async () => {
      const heard = this.#slices?.watching === true && this.#leases?.watching === true;
      const now = clock.now();
      // This process stood still: the others' renewals wait in its sockets.
      if (now - this.#beatAt > LATE_MS) this.#planes.outOfTouch(now);
      this.#beatAt = now;
      try {
        const isOther = await this.#lease?.beat(BEAT_TIMEOUT_MS);
        if (this.#closed) return;
        this.#beatAt = clock.now();
        if (isOther === true) this.#relist();
        else if (heard) this.#inTouch();
      } catch (thrown) {
        if (this.#closed) return;
        const error = toWeftError(thrown);
        this.#tellLost(error);
        if (isAway(error)) {
          this.#client.reconnect(now);
          this.#slices?.restart(error);
          this.#leases?.restart(error);
        }
        this.#beatAt = clock.now();
      }
      if (!this.#closed) this.#beatSoon();
    });
  }

  /** These are other data than those that are watched: a watch from a version that is still to come says nothing. */
  #relist(): void {
    this.#leases?.relist();
    this.#slices?.relist();
  }

  #inTouch(): void {
    const now = this.#options.clock.now();
    if (this.#lost) this.#planes.outOfTouch(now);
    this.#lost = false;
    this.#events?.confirmed();
    for (const plane of this.#planes.advance(now)) this.#tell(this.#view.planeChanged(plane));
    for (const dead of this.#planes.deadFor(BURY_PERIODS * this.#periodMs, now)) void this.#bury(dead);
  }

  /** Nobody needs the Lease of a plane any more that is long dead and has no entries. */
  async #bury({ plane, sign }: { plane: string; sign: string | null }): Promise<void> {
    if (this.#view.planes().has(plane)) return;
    this.#planes.forget(plane);
    if (sign === null) return;
    const body = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { resourceVersion: sign } };
    const name = leaseName(this.#options.system, plane);
    await this.#client.ask({ verb: "delete", resource: LEASES, name, body }).catch(ignore); // somebody else did, or it is back
  }

  #tellLost(error: WeftError): void {
    if (this.#lost || this.#closed) return;
    this.#lost = true;
    this.#events?.lost(error);
  }

  #selector() {
    return { labelSelector: `${MANAGED_BY}=${WEFT},${SYSTEM_LABEL}=${this.#options.system}` };
  }

  #newView(): SliceView {
    const onUnusable = (error: WeftError): void => {
      // Each is told once, however often it is read.
      if (this.#unusable.has(error.message) || this.#unusable.size >= MAX_UNUSABLE) return;
      this.#unusable.add(error.message);
      this.#events?.unusable(error);
    };
    const isDead = (plane: string): boolean => this.#planes.isDead(plane);
    const versionOf = (resourceVersion: string): number => this.#versions.of(resourceVersion);
    return new SliceView({ system: this.#options.system, isDead, versionOf, onUnusable });
  }
}

/** Whether waiting may help. */
function isAway({ code }: WeftError): boolean {
  return code === "unavailable" || code === "internal" || code === "out_of_range" || code === "aborted";
}

function ignore(): void {}

const PLANE_LEASE_MS = 10_000;
const BEAT_MS = { usual: 750, lost: 250 };
const BEAT_TIMEOUT_MS = 2_000;
const LATE_MS = 4_000;
/** Of one operation; whoever asked waits no longer than 5 s. */
const CALL_MS = 4_500;
const CLOSE_MS = 1_000;
/** Later than orphans are given up. */
const BURY_PERIODS = 6;
const MAX_UNUSABLE = 1_000;
