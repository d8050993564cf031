import type { Endpoint } from "../../core/endpoint.ts";
import { grown } from "../../core/grown.ts";
import { Group } from "./group.ts";
import { LoadReport } from "./load-report.ts";
import { Loads } from "./loads.ts";
import { NOT_SEEN } from "./weights.ts";

/**
 * Every endpoint known to the process with its statistics, in flat arrays indexed by slot, and the groups that balancers choose from.
 * A change costs what it changes: slots and statistics of everything else stay where they are.
 *
 *     id -> slot -> endpoints[slot]  inFlight[slot]  ewmaMs[slot] ...
 *     service -> Service { all: Group, versions: version -> Group }      a Group lists the slots of its healthy endpoints
 *
 * A slot may be given to another endpoint after a removal; `generation` tells whether a call's slot still means its endpoint.
 */
export class EndpointTable {
  endpoints: (Endpoint | null)[] = [];
  inFlight = new Int32Array(CAPACITY);
  /** Peak EWMA of the time to the response's head, ms; 0 before the first. */
  ewmaMs = new Float64Array(CAPACITY);
  ewmaAt = new Float64Array(CAPACITY);
  /** Failures of this process's own connections and streams to it, in a row. */
  failures = new Uint16Array(CAPACITY);
  /** Put aside until then. */
  ejectedUntil = new Float64Array(CAPACITY);
  /** How many times in a row it was put aside; 0 when it answered since. */
  ejections = new Uint8Array(CAPACITY);
  /** Ejected by outlier detection (resilience/outlier.ts) until then. */
  outlierUntil = new Float64Array(CAPACITY);
  /** 1 while one call tries an endpoint that was put aside. */
  probing = new Uint8Array(CAPACITY);
  generation = new Uint32Array(CAPACITY);
  /** When a balancer that starts slowly first saw it healthy; NOT_SEEN before. */
  joinedAt = new Float64Array(CAPACITY).fill(NOT_SEEN);
  /** What endpoints report of their load; null before the first report. */
  loads: Loads | null = null;
  /** Of this process: its zone ("" unknown), the service that it is ("" none), and what its subsets are drawn by (-1: drawn when first needed). */
  readonly local = { zone: "", service: "", seed: -1 };
  /** Positions in Group.slots, -1: not a member. */
  #inAll = new Int32Array(CAPACITY);
  #inVersion = new Int32Array(CAPACITY);
  /** Read into, and read from at once. */
  readonly #report = new LoadReport();
  readonly #slotOf = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #services = new Map<string, Service>();

  /** The group of a service's endpoints, or of those of one version ("" for all). Made when it is first named. */
  group(service: string, version: string): Group {
    const entry = this.#service(service);
    if (version === "") return entry.all;
    let group = entry.versions.get(version);
    if (group === undefined) entry.versions.set(version, (group = new Group(service, version)));
    return group;
  }

  /** Slots of all endpoints of a service, healthy or not. */
  slotsOf(service: string): Iterable<number> {
    return this.#services.get(service)?.slots ?? [];
  }

  /** Another whenever an endpoint of the service came, went or changed. */
  revisionOf(service: string): number {
    return this.#services.get(service)?.revision ?? 0;
  }

  /** How many healthy endpoints of a service are in each zone. */
  zonesOf(service: string): ReadonlyMap<string, number> {
    const zones = new Map<string, number>();
    for (const slot of this.slotsOf(service)) {
      const endpoint = this.endpoints[slot];
      if (endpoint?.health === "healthy") zones.set(endpoint.zone, (zones.get(endpoint.zone) ?? 0) + 1);
    }
    return zones;
  }

  services(): Iterable<string> {
    return this.#services.keys();
  }

  apply(full: boolean, changed: readonly Endpoint[], removed: readonly { readonly id: string }[]): void {
    if (full) {
      const kept = new Set<string>();
      for (const endpoint of changed) kept.add(endpoint.id);
      for (const id of [...this.#slotOf.keys()]) if (!kept.has(id)) this.#remove(id);
    }
    for (const { id } of removed) this.#remove(id);
    for (const endpoint of changed) this.#set(endpoint);
  }

  /** The endpoint answered: it is alive. */
  alive(slot: number): void {
    this.failures[slot] = 0;
    this.ejections[slot] = 0;
    this.ejectedUntil[slot] = 0;
    this.probing[slot] = 0;
  }

  /** An active check found it healthy, or it is another: nothing that was held against it counts. */
  #pardon(slot: number): void {
    this.alive(slot);
    this.outlierUntil[slot] = 0;
  }

  /**
   * The endpoint did not answer. It is put aside at once when no connection could be made, otherwise after 3 failures in a row: for 1 s the first
   * time, twice as long each further time up to 30 s. After that one call at a time tries it until one is answered.
   */
  failed(slot: number, connecting: boolean, now: number): void {
    if (this.ejectedUntil[slot] > now && this.probing[slot] === 0) return; // one burst counts once
    this.probing[slot] = 0;
    const failures = ++this.failures[slot];
    if (!connecting && failures < FAILURES_IN_A_ROW && this.ejections[slot] === 0) return;
    const ejections = this.ejections[slot];
    this.ejectedUntil[slot] = now + Math.min(MAX_EJECTION_MS, EJECTION_MS * 2 ** ejections);
    if (ejections < 16) this.ejections[slot] = ejections + 1;
    this.failures[slot] = 0;
  }

  /** Whether balancers may choose it now. */
  inRotation(slot: number, now: number): boolean {
    return this.outlierUntil[slot] <= now && (this.ejections[slot] === 0 || this.ejectedUntil[slot] <= now);
  }

  /** A call goes there. When the endpoint was put aside others wait for what comes of it, for as long as it was first put aside. */
  chosen(slot: number, now: number): void {
    if (this.ejections[slot] === 0 || this.ejectedUntil[slot] > now) return;
    this.probing[slot] = 1;
    this.ejectedUntil[slot] = now + EJECTION_MS;
  }

  /** Peak EWMA: jumps up at once, comes down with `decayMs`. Source: Finagle's PeakEwma. */
  observe(slot: number, latencyMs: number, now: number, decayMs: number): void {
    const ewma = this.ewmaMs[slot];
    if (latencyMs >= ewma || ewma === 0) this.ewmaMs[slot] = Math.max(latencyMs, MIN_LATENCY_MS);
    else {
      const keep = Math.exp((this.ewmaAt[slot] - now) / decayMs);
      this.ewmaMs[slot] = ewma * keep + latencyMs * (1 - keep);
    }
    this.ewmaAt[slot] = now;
  }

  /**
   * What another call would cost there: latency, decayed since last heard of, times the calls it would share with, by weight.
   * An endpoint never heard of is free for one call and dear while that is under way, as in Finagle.
   */
  cost(slot: number, now: number, decayMs: number): number {
    const inFlight = this.inFlight[slot];
    const weight = (this.endpoints[slot] as Endpoint).weight;
    if (this.ewmaMs[slot] === 0) return inFlight === 0 ? 0 : (UNKNOWN_PENALTY_MS + inFlight) / weight;
    return (this.latency(slot, now, decayMs) * (inFlight + 1)) / weight;
  }

  /** The peak EWMA, decayed since last heard of; 0 when it was never heard of. */
  latency(slot: number, now: number, decayMs: number): number {
    const ewma = this.ewmaMs[slot];
    if (ewma === 0) return 0;
    const idle = now - this.ewmaAt[slot];
    return idle > decayMs / 16 ? ewma * Math.exp(-idle / decayMs) : ewma;
  }

  /** A field of a response that may say what load its endpoint has. True: it did. */
  reported(slot: number, name: string, value: string, now: number): boolean {
    if (!this.#report.read(name, value)) return false;
    this.loads ??= new Loads(this.inFlight.length);
    this.loads.set(slot, this.#report, this.inFlight[slot], now);
    return true;
  }

  #service(name: string): Service {
    let entry = this.#services.get(name);
    if (entry === undefined) {
      entry = { slots: new Set(), revision: 0, all: new Group(name, ""), versions: new Map() };
      this.#services.set(name, entry);
    }
    return entry;
  }

  #set(endpoint: Endpoint): void {
    let slot = this.#slotOf.get(endpoint.id);
    const before = slot === undefined ? null : this.endpoints[slot];
    if (slot !== undefined && before !== null) {
      const same =
        before.host === endpoint.host && before.port === endpoint.port && before.service === endpoint.service;
      if (!same) {
        this.#remove(endpoint.id);
        slot = undefined;
      } else if (before.health !== "healthy" && endpoint.health === "healthy") this.#pardon(slot); // an active check vouches for it
    }
    if (slot === undefined) slot = this.#add(endpoint);
    const entry = this.#service(endpoint.service);
    entry.revision++;
    if (
      before !== null &&
      this.#inAll[slot] >= 0 &&
      endpoint.health === "healthy" &&
      before.version === endpoint.version
    ) {
      // It stays where it is, so that turns and places of everybody else do, too.
      this.endpoints[slot] = endpoint;
      entry.all.reweigh(this.#inAll[slot], endpoint.weight);
      if (this.#inVersion[slot] >= 0)
        this.group(endpoint.service, endpoint.version).reweigh(this.#inVersion[slot], endpoint.weight);
      return;
    }
    this.#leave(slot);
    this.endpoints[slot] = endpoint;
    if (endpoint.health === "healthy") this.#join(slot, endpoint);
    else this.joinedAt[slot] = NOT_SEEN;
  }

  #add(endpoint: Endpoint): number {
    const slot = this.#free.pop() ?? this.endpoints.length;
    if (slot >= this.inFlight.length) this.#grow();
    this.#slotOf.set(endpoint.id, slot);
    this.#service(endpoint.service).slots.add(slot);
    this.inFlight[slot] = this.ewmaMs[slot] = this.ewmaAt[slot] = 0;
    this.#pardon(slot);
    this.joinedAt[slot] = NOT_SEEN;
    this.loads?.forget(slot);
    this.#inAll[slot] = this.#inVersion[slot] = -1;
    this.endpoints[slot] = endpoint;
    return slot;
  }

  #remove(id: string): void {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return;
    this.#leave(slot);
    this.#slotOf.delete(id);
    const entry = this.#service((this.endpoints[slot] as Endpoint).service);
    entry.slots.delete(slot);
    entry.revision++;
    this.endpoints[slot] = null;
    this.generation[slot]++;
    this.#free.push(slot);
  }

  #join(slot: number, endpoint: Endpoint): void {
    this.#inAll[slot] = this.group(endpoint.service, "").add(slot, endpoint.weight);
    if (endpoint.version !== "") {
      this.#inVersion[slot] = this.group(endpoint.service, endpoint.version).add(slot, endpoint.weight);
    }
  }

  #leave(slot: number): void {
    const endpoint = this.endpoints[slot];
    if (endpoint === null || this.#inAll[slot] < 0) return;
    const moved = this.group(endpoint.service, "").removeAt(this.#inAll[slot]);
    if (moved >= 0) this.#inAll[moved] = this.#inAll[slot];
    this.#inAll[slot] = -1;
    if (this.#inVersion[slot] < 0) return;
    const movedInVersion = this.group(endpoint.service, endpoint.version).removeAt(this.#inVersion[slot]);
    if (movedInVersion >= 0) this.#inVersion[movedInVersion] = this.#inVersion[slot];
    this.#inVersion[slot] = -1;
  }

  #grow(): void {
    const size = this.inFlight.length * 2;
    this.inFlight = grown(this.inFlight, new Int32Array(size));
    this.ewmaMs = grown(this.ewmaMs, new Float64Array(size));
    this.ewmaAt = grown(this.ewmaAt, new Float64Array(size));
    this.failures = grown(this.failures, new Uint16Array(size));
    this.ejectedUntil = grown(this.ejectedUntil, new Float64Array(size));
    this.outlierUntil = grown(this.outlierUntil, new Float64Array(size));
    this.ejections = grown(this.ejections, new Uint8Array(size));
    this.probing = grown(this.probing, new Uint8Array(size));
    this.generation = grown(this.generation, new Uint32Array(size));
    this.joinedAt = grown(this.joinedAt, new Float64Array(size));
    this.loads?.grow(size);
    this.#inAll = grown(this.#inAll, new Int32Array(size));
    this.#inVersion = grown(this.#inVersion, new Int32Array(size));
  }
}

interface Service {
  /** Of all its endpoints, healthy or not. */
  readonly slots: Set<number>;
  /** Another whenever anything about them is. */
  revision: number;
  readonly all: Group;
  readonly versions: Map<string, Group>;
}

const CAPACITY = 64;
const FAILURES_IN_A_ROW = 3;
const EJECTION_MS = 1_000;
const MAX_EJECTION_MS = 30_000;
/** Below the clock's resolution every latency is the same. */
const MIN_LATENCY_MS = 0.01;
const UNKNOWN_PENALTY_MS = 1e6;
