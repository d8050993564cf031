import { WeftError } from "../../core/errors.ts";
import { type Entry, type Refusal, Subscription } from "./subscription.ts";
import { CLUSTER, ENDPOINTS, LISTENER, ROUTE, SECRET, type XdsResource, type XdsSnapshot } from "./types.ts";

/**
 * One xDS stream as a machine: requests and snapshots in, responses out. It works on one snapshot until the data plane has answered all of it, then
 * takes the newest: however many came in between were never queued.
 *
 *     offer(snapshot) --> next --adopted when settled, or after settleMs--> target --take()--> response --ack/nack--> ...
 *
 * Make before break: (M1) a listener or route is sent when the clusters that it needs, and their endpoints, are with the data plane; (M2) a route
 * after the listeners that use it; (M3) nothing is taken away that something the data plane has still needs; (M4) a refused resource is not sent
 * again before it changes, and what needs it waits with it. After settleMs, what is only late is waited for no longer. (M5) One response of a
 * type is unanswered at most. Invariants are tested by ads-machine.test.ts.
 */
export class AdsMachine {
  readonly #delta: boolean;
  readonly #limits: AdsLimits;
  readonly #subscriptions = new Map<string, Subscription>();
  #target: XdsSnapshot | null = null;
  #next: XdsSnapshot | null = null;
  #deadline = 0;
  #waiting = false;
  #nonce = 0;
  #applied: XdsSnapshot | null = null;

  constructor(delta: boolean, limits: AdsLimits) {
    this.#delta = delta;
    this.#limits = limits;
  }

  /** What it is working on; null before the first snapshot. */
  get target(): XdsSnapshot | null {
    return this.#target;
  }

  /** What the data plane has accepted all of, as far as it asked for it. */
  get applied(): XdsSnapshot | null {
    return this.#applied;
  }

  get subscriptions(): Iterable<Subscription> {
    return this.#subscriptions.values();
  }

  /** What the data plane refuses of the target. */
  refusals(): Refusal[] {
    const refusals: Refusal[] = [];
    for (const { typeUrl, entries, refusedNames } of this.#subscriptions.values()) {
      for (const name of refusedNames) {
        const refused = entries.get(name)?.refused ?? null;
        if (refused === null) refusedNames.delete(name);
        else if (this.#goal(typeUrl, name)?.version === refused.version) refusals.push(refused);
      }
    }
    return refusals;
  }

  /** When take() is to be called again although nothing happened; null: never. */
  get wakeAt(): number | null {
    return this.#waiting || (this.#next !== null && this.#target !== null) ? this.#deadline : null;
  }

  offer(snapshot: XdsSnapshot): void {
    if (snapshot !== this.#target) this.#next = snapshot;
  }

  /** Throws `resource_exhausted` for a stream that asks for too much. Returns what the data plane refuses since now. */
  request(request: AdsRequest, now: number, wallMs: number): Refusal | null {
    const { typeUrl, nonce } = request;
    if (this.#target === null) this.#adopt(now);
    let subscription = this.#subscriptions.get(typeUrl);
    if (subscription === undefined) {
      if (this.#subscriptions.size >= this.#limits.maxTypes) throw tooMany(`${this.#limits.maxTypes} types`);
      this.#subscriptions.set(typeUrl, (subscription = new Subscription(typeUrl, this.#delta)));
    }
    const answers = subscription.inFlight !== null && subscription.inFlight.nonce === nonce;
    let refusal: Refusal | null = null;
    // The verdict first: names that are asked for anew in the same message are sent after it.
    if (answers) {
      if (request.error === null) subscription.accept(wallMs);
      else refusal = subscription.refuse(request.error, wallMs);
    }
    const names = request.kind === "list" ? request.names : request.subscribe;
    if (names.some((name) => name.length > this.#limits.maxNameLength))
      throw tooMany(`${this.#limits.maxNameLength} characters a name`);
    if (request.kind === "list") subscription.list(request.names, nonce);
    else {
      const current = this.#target?.resources.get(typeUrl) ?? NONE;
      subscription.change(request.subscribe, request.unsubscribe, request.known, current);
    }
    if (subscription.names.size > this.#limits.maxNames)
      throw tooMany(`${this.#limits.maxNames} resources of one type`);
    this.#touchAll();
    return refusal;
  }

  /** The next response; null when there is nothing to send now. */
  take(now: number): AdsResponse | null {
    for (;;) {
      if (this.#target === null && !this.#adopt(now)) return null;
      this.#waiting = false;
      for (const subscription of this.#inOrder()) {
        const response = this.#respond(subscription, now);
        if (response !== null) return response;
      }
      const unanswered = this.#inOrder().some(({ inFlight }) => inFlight !== null);
      const settled = !unanswered && !this.#waiting;
      if (settled && this.#subscriptions.size > 0 && this.refusals().length === 0) this.#applied = this.#target;
      if ((!settled && now < this.#deadline) || !this.#adopt(now)) return null;
    }
  }

  #adopt(now: number): boolean {
    if (this.#next === null) return false;
    const before = this.#target;
    this.#target = this.#next;
    this.#next = null;
    this.#deadline = now + this.#limits.settleMs;
    for (const subscription of this.#subscriptions.values()) {
      const { typeUrl, todo } = subscription;
      if (before === null) subscription.sweep = true;
      else
        for (const name of differences(before.resources.get(typeUrl), this.#target.resources.get(typeUrl)))
          todo.add(name);
    }
    this.#touchAll();
    return true;
  }

  /** What one type may send can depend on what became of another. */
  #touchAll(): void {
    for (const subscription of this.#subscriptions.values()) subscription.dirty = true;
  }

  #inOrder(): Subscription[] {
    const known = ORDER.map((typeUrl) => this.#subscriptions.get(typeUrl));
    return known.filter((subscription) => subscription !== undefined);
  }

  #goal(typeUrl: string, name: string): XdsResource | undefined {
    return this.#target?.resources.get(typeUrl)?.get(name);
  }

  #respond(subscription: Subscription, now: number): AdsResponse | null {
    if (subscription.inFlight !== null || !subscription.dirty) return null;
    const { typeUrl, wildcard, wholeState } = subscription;
    const target = this.#target?.resources.get(typeUrl) ?? NONE;
    const names = subscription.sweep
      ? new Set([...subscription.entries.keys(), ...(wildcard ? target.keys() : [])])
      : subscription.todo;
    const todo = new Set<string>();
    subscription.todo = todo;
    subscription.sweep = false;
    let changes = new Map<string, XdsResource | null>();
    let used: Set<string> | null = null;
    let waits = false;
    let bytes = 0;
    const alone: [string, XdsResource][] = [];
    for (const name of names) {
      if (!subscription.covers(name) && !subscription.entries.has(name)) continue;
      const entry = subscription.entry(name);
      const goal = target.get(name) ?? null;
      if (goal === null) {
        if (entry.has !== null && (used ??= this.#used(typeUrl)).has(name)) {
          todo.add(name);
          continue;
        }
        if (entry.has === null && !entry.fresh) continue;
        if (entry.has?.bytes.byteLength === 0 && this.#mayBeUsed(typeUrl, now)) {
          waits ||= now < this.#deadline;
          todo.add(name);
          continue;
        }
        if (!this.#delta && !wholeState)
          entry.has = null; // there is no way to say it; the data plane lets go of it by itself
        else changes.set(name, null);
        continue;
      }
      if (entry.has?.version === goal.version) entry.has = goal;
      const held = this.#held(goal, entry, now);
      if (held === "late") waits = true;
      if (held !== "no" && entry.refused?.version !== goal.version) todo.add(name);
      const next = held === "no" ? goal : entry.has;
      if (next === null || (next.version === entry.has?.version && !entry.fresh)) continue;
      if (next.bytes.byteLength === 0) continue; // of an earlier stream: there is nothing to repeat
      if (entry.alone) {
        alone.push([name, next]);
        todo.add(name);
      } else if (bytes < MAX_RESPONSE_BYTES || (wholeState && !this.#delta)) {
        changes.set(name, next);
        bytes += next.bytes.byteLength;
      } else todo.add(name);
    }
    if (changes.size === 0 && alone.length > 0) {
      changes = new Map([alone[0]]);
      if (alone[0][1] === target.get(alone[0][0])) todo.delete(alone[0][0]);
    }
    subscription.dirty = waits;
    this.#waiting ||= waits;
    if (changes.size === 0 && (waits || !subscription.owed || !(wildcard || (wholeState && !this.#delta)))) return null;
    return this.#send(subscription, changes);
  }

  #send(subscription: Subscription, changes: Map<string, XdsResource | null>): AdsResponse {
    const { typeUrl, wholeState, entries } = subscription;
    const resources: XdsResource[] = [];
    const removed: string[] = [];
    if (wholeState && !this.#delta) {
      for (const [name, { has }] of entries) {
        const resource = changes.has(name) ? changes.get(name) : has;
        if (resource) resources.push(resource);
      }
    } else {
      for (const [name, resource] of changes) {
        if (resource === null) removed.push(name);
        else resources.push(resource);
      }
    }
    const nonce = String(++this.#nonce);
    subscription.sent(nonce, changes);
    // More may be left than fitted.
    subscription.dirty = true;
    if (typeUrl === CLUSTER) this.#warm(changes.values());
    return { typeUrl, nonce, version: this.#target?.version ?? "", resources, removed };
  }

  /** A cluster that is told anew waits for its endpoints to be told anew, although they stayed as they were. */
  #warm(clusters: Iterable<XdsResource | null>): void {
    const endpoints = this.#subscriptions.get(ENDPOINTS);
    if (endpoints === undefined) return;
    for (const cluster of clusters) {
      for (const { name } of cluster?.needs ?? []) {
        const entry = endpoints.entries.get(name);
        if (entry === undefined) continue;
        entry.fresh = true;
        endpoints.todo.add(name);
      }
    }
    endpoints.dirty = true;
  }

  /** Whether something has to be with the data plane first: "late" if that is a matter of time, "refused" if not. */
  #held(resource: XdsResource, entry: Entry, now: number): "no" | "late" | "refused" {
    if (entry.refused?.version === resource.version) return "refused";
    if (resource.typeUrl !== LISTENER && resource.typeUrl !== ROUTE) return "no";
    let held: "no" | "late" = "no";
    for (const { typeUrl, name } of resource.needs) {
      if (typeUrl !== CLUSTER) continue;
      const ready = this.#ready(name);
      if (ready === "refused") return "refused";
      if (ready === "late") held = "late";
    }
    if (resource.typeUrl === ROUTE && held === "no" && this.#listenersLate(resource.name)) held = "late";
    return held === "late" && now >= this.#deadline ? "no" : held;
  }

  #ready(cluster: string): "yes" | "late" | "refused" {
    const clusters = this.#subscriptions.get(CLUSTER);
    const goal = this.#goal(CLUSTER, cluster);
    // Who asks for clusters by name does so when it has the route; what is not there cannot be waited for.
    if (clusters === undefined || goal === undefined || !clusters.covers(cluster)) return "yes";
    const entry = clusters.entries.get(cluster);
    if (entry?.refused?.version === goal.version) return "refused";
    if (entry?.has?.version !== goal.version) return "late";
    for (const { typeUrl, name } of goal.needs) {
      if (typeUrl !== ENDPOINTS || this.#goal(ENDPOINTS, name) === undefined) continue;
      const endpoints = this.#subscriptions.get(ENDPOINTS);
      const known = endpoints?.entries.get(name);
      if (endpoints?.covers(name) ? known?.has === null || known?.fresh : clusters.wildcard) return "late";
      if (endpoints?.inFlight?.changes.has(name)) return "late";
    }
    return "yes";
  }

  #listenersLate(route: string): boolean {
    const listeners = this.#subscriptions.get(LISTENER);
    if (listeners === undefined) return false;
    for (const [name, { needs, version }] of this.#target?.resources.get(LISTENER) ?? NONE) {
      if (!listeners.covers(name) || !needs.some((need) => need.typeUrl === ROUTE && need.name === route)) continue;
      const entry = listeners.entries.get(name);
      if (entry?.has?.version !== version && entry?.refused?.version !== version) return true;
    }
    return false;
  }

  /**
   * Of a data plane that came back: whether it may still have, from before, what uses resources of the type. What that refers to is not known, so it is
   * replaced first. What it did not ask for within settleMs it does not have.
   */
  #mayBeUsed(typeUrl: string, now: number): boolean {
    for (const user of USERS[typeUrl] ?? []) {
      const subscription = this.#subscriptions.get(user);
      if (subscription === undefined) {
        if (now < this.#deadline) return true;
        continue;
      }
      for (const [name, { has }] of subscription.entries) {
        if (has?.bytes.byteLength === 0 && has.version !== this.#goal(user, name)?.version) return true;
      }
    }
    return false;
  }

  /** Names of the type that what the data plane has, or is being sent, refers to. */
  #used(typeUrl: string): Set<string> {
    const used = new Set<string>();
    const add = (resource: XdsResource | null) => {
      for (const need of resource?.needs ?? []) if (need.typeUrl === typeUrl) used.add(need.name);
    };
    for (const { entries, inFlight } of this.#subscriptions.values()) {
      for (const { has } of entries.values()) add(has);
      for (const resource of inFlight?.changes.values() ?? []) add(resource);
    }
    return used;
  }
}

export interface AdsLimits {
  /** Names that a stream may ask for of one type. */
  readonly maxNames: number;
  readonly maxNameLength: number;
  readonly maxTypes: number;
  /** How long a newer snapshot waits for a data plane to answer the one before, and what comes last for what comes first, ms. */
  readonly settleMs: number;
}

export type AdsRequest = {
  readonly typeUrl: string;
  /** Of the response that it answers; "" for none. */
  readonly nonce: string;
  /** Why that response is refused. */
  readonly error: string | null;
} & (
  | { readonly kind: "list"; readonly names: readonly string[] }
  | {
      readonly kind: "change";
      readonly subscribe: readonly string[];
      readonly unsubscribe: readonly string[];
      readonly known: Readonly<Record<string, string>>;
    }
);

export interface AdsResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly XdsResource[];
  readonly removed: readonly string[];
}

const NONE: ReadonlyMap<string, XdsResource> = new Map();
/** What is made before it is used comes first. Types that are not here are none that weft has. */
const ORDER = [SECRET, CLUSTER, ENDPOINTS, LISTENER, ROUTE];
/** Names that are not the same in both; found once for all streams that go from the one to the other. */
function differences(
  before: ReadonlyMap<string, XdsResource> = NONE,
  after: ReadonlyMap<string, XdsResource> = NONE,
): readonly string[] {
  if (before === after) return [];
  let known = DIFFERENCES.get(after);
  if (known === undefined) DIFFERENCES.set(after, (known = new WeakMap()));
  let names = known.get(before);
  if (names === undefined) {
    names = [];
    for (const [name, resource] of after) if (before.get(name) !== resource) names.push(name);
    for (const name of before.keys()) if (!after.has(name)) names.push(name);
    known.set(before, names);
  }
  return names;
}

type Named = ReadonlyMap<string, XdsResource>;
const DIFFERENCES = new WeakMap<Named, WeakMap<Named, string[]>>();

/** Which types refer to a type. */
const USERS: Readonly<Record<string, readonly string[]>> = {
  [CLUSTER]: [LISTENER, ROUTE],
  [ENDPOINTS]: [CLUSTER],
  [ROUTE]: [LISTENER],
};
/** In one response, about; more follows when it is answered. */
const MAX_RESPONSE_BYTES = 1_048_576;

function tooMany(what: string): WeftError {
  return new WeftError("resource_exhausted", `a stream may ask for at most ${what}`, {
    reason: "TOO_MANY_SUBSCRIPTIONS",
  });
}
