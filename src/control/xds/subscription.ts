import { refusalText } from "./refusal-text.ts";
import { CLUSTER, LISTENER, type XdsResource } from "./types.ts";

/**
 * One type on one stream: what the data plane asked for, and of each resource what it has. Pure; ads-machine.ts decides what is sent.
 *
 *     subscribed --sent--> in flight --ack--> has it        a newer version is sent once the one before was answered
 *                              '---nack--> refused          stays so until the resource changes; what it had before, it has
 *
 * The two protocols differ in how a subscription is said (whole lists, or changes of them) and in how an absence is: by leaving a resource out where
 * the state of the world is sent, by name in a delta. Sources: Envoy, "xDS REST and gRPC protocol"; gRFC A27.
 */
export class Subscription {
  readonly typeUrl: string;
  readonly delta: boolean;
  /** Listeners and clusters: a response of the state of the world holds all of them, and a subscription without names is to all of them. */
  readonly wholeState: boolean;
  wildcard = false;
  readonly names = new Set<string>();
  readonly entries = new Map<string, Entry>();
  /** The response that was not answered yet. At most one: a data plane that reads slowly is not queued for. */
  inFlight: InFlight | null = null;
  /** A first answer is owed, even if it is empty: the data plane waits for it. */
  owed = true;
  /** Something may have become possible to send since it was looked at last. */
  dirty = true;
  /** Names of which there may be something to send; `sweep`: all. Others are as they are to be, and cost nothing. */
  todo = new Set<string>();
  sweep = true;
  /** Names that were refused; some may have been put right. */
  readonly refusedNames = new Set<string>();
  #lastNonce = "";
  #explicit = false;
  #begun = false;

  constructor(typeUrl: string, delta: boolean) {
    this.typeUrl = typeUrl;
    this.delta = delta;
    this.wholeState = typeUrl === LISTENER || typeUrl === CLUSTER;
  }

  /** True when the stream would be told of the resource. */
  covers(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  /** The whole list, of the state of the world. False when it answers an older response than the last one: it says nothing then. */
  list(names: readonly string[], nonce: string): boolean {
    if (this.#begun && nonce !== "" && nonce !== this.#lastNonce) return false;
    this.#begun = true;
    const wanted = new Set(names);
    const all = wanted.delete("*") || (this.wholeState && names.length === 0 && !this.#explicit);
    if (names.length > 0) this.#explicit = true;
    const before = this.wildcard;
    this.wildcard = all;
    if (all && !before) this.#widen();
    for (const name of this.names) if (!wanted.has(name)) this.#leave(name);
    for (const name of wanted) if (!this.names.has(name)) this.#join(name);
    if (before && !all) this.#forgetUnnamed();
    return true;
  }

  /** Changes of the list, of a delta. `known`: what the data plane has from an earlier stream; only in the first request. */
  change(
    subscribe: readonly string[],
    unsubscribe: readonly string[],
    known: Readonly<Record<string, string>>,
    current: ReadonlyMap<string, XdsResource>,
  ): void {
    const first = !this.#begun;
    this.#begun = true;
    if (first && this.wholeState && subscribe.length === 0) this.wildcard = true;
    for (const name of unsubscribe) {
      if (name === "*") {
        this.wildcard = false;
        this.#forgetUnnamed();
      } else this.#leave(name);
    }
    for (const name of subscribe) {
      if (name !== "*") this.#join(name);
      else if (!this.wildcard) {
        this.wildcard = true;
        this.#widen();
      }
    }
    if (!first) return;
    for (const [name, version] of Object.entries(known)) {
      if (!this.covers(name)) continue;
      const entry = this.entry(name);
      const now = current.get(name);
      entry.has = now?.version === version ? now : { typeUrl: this.typeUrl, name, version, bytes: NOTHING, needs: [] };
      entry.fresh = false;
      this.todo.add(name);
    }
  }

  entry(name: string): Entry {
    let entry = this.entries.get(name);
    if (entry === undefined) this.entries.set(name, (entry = new Entry()));
    return entry;
  }

  sent(nonce: string, changes: ReadonlyMap<string, XdsResource | null>): void {
    this.#lastNonce = nonce;
    this.inFlight = { nonce, changes };
    this.owed = false;
    for (const name of changes.keys()) {
      const entry = this.entries.get(name);
      if (entry !== undefined) entry.fresh = false;
    }
  }

  /** The data plane has what was in flight. */
  accept(nowMs: number): void {
    const changes = this.inFlight?.changes;
    this.inFlight = null;
    for (const [name, resource] of changes ?? []) {
      const entry = this.entries.get(name);
      if (entry === undefined) continue;
      // Told once more what it had: that says nothing about what it refused.
      if (resource?.version !== entry.has?.version) entry.refused = null;
      entry.has = resource;
      entry.alone = false;
      entry.changedMs = nowMs;
      if (resource === null && !this.names.has(name)) this.entries.delete(name);
    }
  }

  /**
   * The data plane refused what was in flight. Which of several resources it was is known for sure only when it was sent alone, so those that the reason
   * names (all, if it names none) are sent again one at a time. Returns the one that is refused now.
   */
  refuse(reason: string, nowMs: number): Refusal | null {
    const changes = this.inFlight?.changes ?? new Map<string, XdsResource | null>();
    this.inFlight = null;
    for (const name of changes.keys()) this.todo.add(name);
    const sent = [...changes].filter((change): change is [string, XdsResource] => change[1] !== null);
    for (const [name, resource] of changes) if (resource === null) this.entry(name).has = null;
    if (sent.length === 1) {
      const [[name, { version }]] = sent;
      const refusal = { typeUrl: this.typeUrl, name, version, reason: refusalText(reason), atMs: nowMs };
      const entry = this.entries.get(name);
      if (entry === undefined) return null;
      entry.refused = refusal;
      this.refusedNames.add(name);
      entry.alone = false;
      entry.changedMs = nowMs;
      return refusal;
    }
    const suspects = namedIn(
      reason,
      sent.map(([name]) => name),
    );
    for (const name of suspects.size > 0 ? suspects : sent.map(([name]) => name)) {
      const entry = this.entries.get(name);
      if (entry !== undefined) entry.alone = true;
    }
    return null;
  }

  #join(name: string): void {
    this.names.add(name);
    this.entry(name).fresh = true;
    this.todo.add(name);
  }

  #widen(): void {
    this.owed = true;
    this.sweep = true;
  }

  #leave(name: string): void {
    if (!this.names.delete(name)) return;
    if (!this.wildcard) {
      this.entries.delete(name);
      return;
    }
    // It stays subscribed to as one of all, which the data plane cannot know to be so: it is told again whether it is there.
    this.entry(name).fresh = true;
    this.todo.add(name);
  }

  #forgetUnnamed(): void {
    for (const name of this.entries.keys()) if (!this.names.has(name)) this.entries.delete(name);
  }
}

/** Of one resource on one stream. */
export class Entry {
  /** What the data plane has and accepted. */
  has: XdsResource | null = null;
  /** It asked (again), so it is told even what it has. */
  fresh = false;
  /** To be sent by itself, to learn whether it is what is refused. */
  alone = false;
  refused: Refusal | null = null;
  /** When the data plane last answered about it. */
  changedMs = 0;
}

export interface InFlight {
  readonly nonce: string;
  /** What the data plane has once it accepts; null: no more. */
  readonly changes: ReadonlyMap<string, XdsResource | null>;
}

export interface Refusal {
  readonly typeUrl: string;
  readonly name: string;
  readonly version: string;
  /** The data plane's own words, shortened. */
  readonly reason: string;
  readonly atMs: number;
}

/** The names that stand in a text as words of their own; of two of which one holds the other, the longer. */
function namedIn(text: string, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  let rest = text;
  for (const name of [...names].sort((a, b) => b.length - a.length)) {
    for (let at = rest.indexOf(name); at >= 0; at = rest.indexOf(name, at + 1)) {
      if (WORD.test(rest[at - 1] ?? "") || WORD.test(rest[at + name.length] ?? "")) continue;
      found.add(name);
      rest = rest.slice(0, at) + "\0".repeat(name.length) + rest.slice(at + name.length);
    }
  }
  return found;
}

/** The content of what an earlier stream told the data plane: not known here. */
const NOTHING = new Uint8Array(0);
const WORD = /[\w-]/;
