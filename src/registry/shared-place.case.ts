import type { Cancel, Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { BackendChange, BackendEvents, EndpointBackend, KeptEntry } from "./endpoint-backend.ts";
import type { EndpointEntry } from "./endpoint-value.ts";

/** A place in memory that several control planes share, and that can be hurt: what a backend's tests stand on where no server is wanted. */
export class SharedPlace {
  readonly #clock: Clock;
  readonly #backends = new Set<PlaceBackend>();
  #kept = new Map<string, { entry: EndpointEntry; version: number }>();
  readonly #dead = new Set<string>();
  #version = 0;
  #losses = 0;
  /** So many writes more are carried out, and answered with an error. */
  swallow = 0;
  /** Puts are not told: what follows them says it. */
  coalesce = false;
  /** How long what is asked, answered or told is on its way, ms. Null: it is there at once. */
  delay: (() => number) | null = null;
  /** Writes that were carried out. */
  writes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  backend(): PlaceBackend {
    const backend = new PlaceBackend(this, this.#clock);
    this.#backends.add(backend);
    return backend;
  }

  get ids(): string {
    return [...this.#kept.keys()].sort().join(" ");
  }

  entry(id: string): EndpointEntry | undefined {
    return this.#kept.get(id)?.entry;
  }

  /** Everything is gone, and versions count from the beginning. `unnoticed`: it answers already, and those who follow it do not know yet. */
  lose(unnoticed = false): void {
    for (const backend of this.#backends) {
      backend.cut(unnoticed);
      backend.lost = true;
    }
    this.#kept = new Map();
    // Below all there were, and none of them again.
    this.#version = ++this.#losses / 1_000;
  }

  mend(): void {
    for (const backend of this.#backends) backend.mend();
  }

  /** What was put there by others than weft. */
  putForeign(entry: EndpointEntry): void {
    this.replace(entry, this.#kept.get(entry.endpoint.id)?.version ?? 0);
  }

  /** The plane's sign of life ends, or begins again. */
  live(plane: string, alive: boolean): void {
    if (alive) this.#dead.delete(plane);
    else this.#dead.add(plane);
    const changes: BackendChange[] = [];
    for (const { entry, version } of this.#kept.values())
      if (entry.plane === plane) changes.push({ kind: "put", entry, version, orphaned: !alive });
    this.#tell(changes);
  }

  all(): KeptEntry[] {
    return Array.from(this.#kept.values(), (kept) => ({ ...kept, orphaned: this.#dead.has(kept.entry.plane) }));
  }

  replace(entry: EndpointEntry, expected: number): number | null {
    const { id } = entry.endpoint;
    if ((this.#kept.get(id)?.version ?? 0) !== expected) return null;
    const version = ++this.#version;
    this.writes++;
    this.#kept.set(id, { entry, version });
    if (!this.coalesce) this.#tell([{ kind: "put", entry, version, orphaned: this.#dead.has(entry.plane) }]);
    return version;
  }

  remove(id: string, owner: string): void {
    if (this.#kept.get(id)?.entry.owner !== owner) return;
    this.#kept.delete(id);
    this.writes++;
    this.#tell([{ kind: "removed", id, orphaned: false, version: ++this.#version, owner }]);
  }

  /** Somebody removes them behind everybody's back. */
  takeAway(ids: readonly string[]): void {
    for (const id of ids) this.#kept.delete(id);
    this.#tell(ids.map((id) => ({ kind: "removed", id, orphaned: true })));
  }

  #tell(changes: BackendChange[]): void {
    for (const backend of this.#backends) backend.tell(changes);
  }
}

export class PlaceBackend implements EndpointBackend {
  readonly name = "a place in memory";
  readonly #place: SharedPlace;
  readonly #clock: Clock;
  plane = "";
  #events: BackendEvents | null = null;
  /** Nothing is told. */
  #cut = false;
  /** Nothing is answered. */
  #silent = false;
  lost = false;
  #stop: Cancel = () => {};
  /** Lines to it so far: what is on its way on one that broke is never there. */
  #lines = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(place: SharedPlace, clock: Clock) {
    this.#place = place;
    this.#clock = clock;
  }

  async follow(plane: string, events: BackendEvents): Promise<void> {
    this.plane = plane;
    this.#events = events;
    await this.#travel();
    events.whole(this.#place.all());
    const beat = (): void => {
      if (!this.#cut) this.#say((events) => events.confirmed());
      this.#stop = this.#clock.after(500, beat);
    };
    beat();
  }

  cut(unnoticed = false): void {
    this.#cut = true;
    this.#silent = !unnoticed;
    this.#lines++;
    if (unnoticed) return;
    this.#say((events) => events.lost(new WeftError("unavailable", "cut off")));
  }

  mend(): void {
    if (!this.#cut) return;
    this.#cut = this.#silent = false;
    const all = this.#place.delay === null ? null : this.#place.all();
    this.#say((events) => {
      const { lost } = this;
      this.lost = false;
      events.whole(all ?? this.#place.all(), lost);
    });
  }

  tell(changes: BackendChange[]): void {
    if (!this.#cut && changes.length > 0) this.#say((events) => events.changed(changes));
  }

  replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    return this.#write(() => this.#place.replace(entry, expected));
  }

  remove(id: string, owner: string): Promise<void> {
    return this.#write(() => this.#place.remove(id, owner));
  }

  async get(id: string): Promise<KeptEntry | null> {
    return (await this.read()).find(({ entry }) => entry.endpoint.id === id) ?? null;
  }

  async read(): Promise<readonly KeptEntry[]> {
    await this.#travel();
    const all = this.#place.all();
    if (this.#place.delay !== null) await this.#travel();
    return all;
  }

  async close(): Promise<void> {
    this.#stop();
    this.#events = null;
    await null;
    this.#place.live(this.plane, false);
  }

  async #write<T>(work: () => T): Promise<T> {
    await this.#travel();
    const done = work();
    await this.#travel();
    if (this.#place.swallow === 0) return done;
    this.#place.swallow--;
    throw new WeftError("unavailable", "the answer was lost");
  }

  /** There, or back. */
  async #travel(): Promise<void> {
    const { delay } = this.#place;
    const line = this.#lines;
    if (delay === null) await null;
    else await new Promise<void>((resolve) => void this.#clock.after(delay(), resolve));
    if (this.#silent || (delay !== null && line !== this.#lines)) throw new WeftError("unavailable", "cut off");
  }

  /** In order. */
  #say(what: (events: BackendEvents) => void): void {
    const { delay } = this.#place;
    const tell = (): void => void (this.#events !== null && what(this.#events));
    if (delay === null) return queueMicrotask(tell);
    const line = this.#lines;
    const now = this.#clock.now();
    this.#saidAt = Math.max(now + delay(), this.#saidAt);
    this.#clock.after(this.#saidAt - now, () => {
      if (line === this.#lines) tell();
    });
  }
}
