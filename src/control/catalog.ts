import { codecOf } from "../contract/codec.ts";
import { endpointToMessage } from "../contract/endpoint-message.ts";
import { type MethodsSchema, ServiceUpdateSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { EndpointDelta, Registry, Watch } from "../registry/registry.ts";

/**
 * What the control plane knows of each service, encoded once for everybody who is told: the registry's deltas, split by service, and the
 * methods of its contract. Subscribers are only marked; they take what they lack when they can (subscriber.ts).
 *
 *     registry --delta--> catalog --split, encode once--> ServiceState.log --mark--> subscribers
 *
 * A service's log holds its latest updates up to LOG_LENGTH; who is further behind gets the whole state, which is encoded at most once between
 * two changes. So memory does not depend on how slow anybody is.
 */
export class Catalog {
  readonly #registry: Registry;
  readonly #onRemoved: (service: string, id: string) => void;
  readonly #states = new Map<string, ServiceState>();
  readonly #byId = new Map<string, Endpoint>();
  readonly #ofAll = new Set<CatalogSubscriber>();
  readonly #listeners = new Set<(service: string) => void>();
  #watch: Watch | null = null;
  #version = 0;
  #endpoints = 0;

  /** `onRemoved` is told of every endpoint that leaves a service. */
  constructor(registry: Registry, onRemoved: (service: string, id: string) => void = () => {}) {
    this.#registry = registry;
    this.#onRemoved = onRemoved;
  }

  /** Follows the registry; resolves when its whole state has arrived. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#watch = this.#registry.watch(["*"], (delta) => {
        this.#apply(delta);
        resolve();
      });
    });
  }

  close(): void {
    this.#watch?.close();
  }

  get endpointVersion(): number {
    return this.#version;
  }

  get endpointCount(): number {
    return this.#endpoints;
  }

  /** The services that have endpoints or a contract. */
  services(): ServiceState[] {
    return Array.from(this.#states.values()).filter((state) => state.endpoints.size > 0 || state.methods !== null);
  }

  /** What is registered by an id, which is unique among all services. */
  endpoint(id: string): Endpoint | undefined {
    return this.#byId.get(id);
  }

  get(service: string): ServiceState | undefined {
    return this.#states.get(service);
  }

  /** The state of a service, which stays while somebody asks for it even if there is nothing of it yet. */
  subscribe(service: string, subscriber: CatalogSubscriber): ServiceState {
    const state = this.#stateOf(service);
    state.tellTo(subscriber);
    return state;
  }

  /** From now on the subscriber is told of every service, those to come included. */
  subscribeAll(subscriber: CatalogSubscriber): Iterable<ServiceState> {
    this.#ofAll.add(subscriber);
    for (const state of this.#states.values()) state.tellTo(subscriber);
    return this.#states.values();
  }

  /** Called with the name of each service of which there is something new. Returns what ends that. For who takes no updates: nothing is encoded for them. */
  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  unsubscribe(subscriber: CatalogSubscriber, services: Iterable<ServiceState>): void {
    this.#ofAll.delete(subscriber);
    for (const state of services) {
      state.subscribers.delete(subscriber);
      this.#forgetEmpty(state);
    }
  }

  setMethods(service: string, methods: MessageInitShape<typeof MethodsSchema>): void {
    const state = this.#stateOf(service);
    state.methods = methods;
    state.append({ methods });
    this.#tell(service);
  }

  #apply(delta: EndpointDelta): void {
    this.#version = Math.max(this.#version, delta.endpointVersion);
    const changes = new Map<string, ServiceChange>();
    const changeOf = (service: string): ServiceChange => {
      let change = changes.get(service);
      if (change === undefined) changes.set(service, (change = { changed: [], removed: [] }));
      return change;
    };
    if (delta.full) {
      const present = new Set(delta.changed.map((endpoint) => `${endpoint.service}\n${endpoint.id}`));
      for (const [service, { endpoints }] of this.#states) {
        for (const id of endpoints.keys()) {
          if (!present.has(`${service}\n${id}`)) changeOf(service).removed.push({ id, reason: "gone" });
        }
      }
    }
    for (const { id, service, reason } of delta.removed) changeOf(service).removed.push({ id, reason });
    for (const endpoint of delta.changed) {
      changeOf(endpoint.service).changed.push(endpoint);
    }
    for (const [service, change] of changes) this.#applyTo(service, change, delta.endpointVersion);
  }

  #applyTo(service: string, { changed, removed }: ServiceChange, version: number): void {
    const state = this.#stateOf(service);
    const before = state.endpoints.size;
    for (const { id } of removed) {
      state.endpoints.delete(id);
      if (this.#byId.get(id)?.service === service) this.#byId.delete(id);
      this.#onRemoved(service, id);
    }
    for (const endpoint of changed) {
      state.endpoints.set(endpoint.id, endpoint);
      this.#byId.set(endpoint.id, endpoint);
    }
    this.#endpoints += state.endpoints.size - before;
    state.endpointVersion = version;
    state.append({ changed, removed });
    this.#forgetEmpty(state);
    this.#tell(service);
  }

  #tell(service: string): void {
    for (const listener of this.#listeners) listener(service);
  }

  #stateOf(service: string): ServiceState {
    let state = this.#states.get(service);
    if (state === undefined) {
      this.#states.set(service, (state = new ServiceState(service)));
      for (const subscriber of this.#ofAll) {
        state.tellTo(subscriber);
        subscriber.changed(state);
      }
    }
    return state;
  }

  /** Subscribers of "*" alone keep no service alive: they have been marked with its last change and hold the state until they took it. */
  #forgetEmpty(state: ServiceState): void {
    if (state.endpoints.size > 0 || state.methods !== null || state.subscribers.size > this.#ofAll.size) return;
    this.#states.delete(state.name);
    state.gone = true;
  }
}

/** Told that there is something new of a service; it will look when it can. */
export interface CatalogSubscriber {
  changed(state: ServiceState): void;
}

/** One service as of `sequence`, a count of its updates that only the control plane knows. */
export class ServiceState {
  readonly name: string;
  readonly endpoints = new Map<string, Endpoint>();
  readonly subscribers = new Set<CatalogSubscriber>();
  methods: MessageInitShape<typeof MethodsSchema> | null = null;
  endpointVersion = 0;
  sequence = 0;
  /** True when the catalog has forgotten it; the same name again is another state. */
  gone = false;
  /** The latest updates, oldest first; the last one led to `sequence`. */
  #log: { bytes: Uint8Array; endpointVersion: number }[] = [];
  /** Endpoint version before the first of them, and after the last. */
  #before = 0;
  #last = 0;
  #full: Uint8Array | null = null;
  /** Updates since the last subscriber left. */
  #unheard = Number.POSITIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
  }

  tellTo(subscriber: CatalogSubscriber): void {
    this.subscribers.add(subscriber);
    this.#unheard = 0;
  }

  append({ changed = [], removed = [], methods }: ServiceNews): void {
    this.sequence++;
    this.#full = null;
    this.#unheard = this.subscribers.size === 0 ? this.#unheard + 1 : 0;
    // Who was the last to leave may come back: the line broke. Without anybody for longer there is nobody to be told: who comes later gets the whole state.
    if (this.#unheard > LOG_LENGTH) {
      if (this.#log.length > 0) this.#log = [];
    } else {
      const { name: service, endpointVersion } = this;
      const news = { changed: changed.map(endpointToMessage), removed, methods };
      const bytes = updates.encode({ service, endpointVersion: BigInt(endpointVersion), ...news });
      if (this.#log.length === 0) this.#before = this.#last;
      this.#log.push({ bytes, endpointVersion });
      if (this.#log.length > LOG_LENGTH) this.#before = this.#log.shift()?.endpointVersion ?? 0;
    }
    this.#last = this.endpointVersion;
    for (const subscriber of this.subscribers) subscriber.changed(this);
  }

  /** The updates that lead from `sequence` to now; null when it is too long ago (or when the whole state is shorter). */
  since(sequence: number): Uint8Array[] | null {
    const missing = this.sequence - sequence;
    if (missing < 0 || missing > this.#log.length) return null;
    return this.#log.slice(this.#log.length - missing).map(({ bytes }) => bytes);
  }

  /** The sequence at which the endpoint version was first told, for who was attached before (later updates of the same version, which are
   * about methods, are told again); null when that is not known any more. */
  sequenceOf(endpointVersion: number): number | null {
    // Who was told the whole state, and nothing since.
    const before = this.#log.length === 0 ? this.#last : this.#before;
    if (endpointVersion > 0 && endpointVersion === before) return this.sequence - this.#log.length;
    const index = this.#log.findIndex((update) => update.endpointVersion === endpointVersion);
    return index < 0 ? null : this.sequence - (this.#log.length - 1 - index);
  }

  /** The whole state, encoded. */
  full(): Uint8Array {
    this.#full ??= updates.encode({
      service: this.name,
      endpointVersion: BigInt(this.endpointVersion),
      full: true,
      changed: Array.from(this.endpoints.values(), endpointToMessage),
      methods: this.methods ?? {},
    });
    return this.#full;
  }
}

interface ServiceNews {
  changed?: readonly Endpoint[];
  removed?: ServiceChange["removed"];
  methods?: MessageInitShape<typeof MethodsSchema>;
}

interface ServiceChange {
  changed: Endpoint[];
  removed: { id: string; reason: string }[];
}

const updates = codecOf(ServiceUpdateSchema);
const LOG_LENGTH = 64;
