import type { Cancel, Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { TAGS_METADATA } from "../../core/endpoint-tags.ts";
import { WeftError } from "../../core/errors.ts";
import type { EndpointDelta, Registry, Watch } from "../../registry/registry.ts";
import { type Mark, markOf } from "./mark.ts";

/**
 * What the registry holds, by service, with an index for each that grows with every change of it: what blocking queries wait for.
 *
 * V1 an index never goes back while the process lives, and is above 0;  V2 a change of one service moves no other's index;  V3 who waits is woken by the first change
 * after the index that he knows, or by his time, and only once.
 */
export class ConsulView {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #maxWaiting: number;
  readonly #services = new Map<string, ServiceView>();
  readonly #byId = new Map<string, Endpoint>();
  readonly #marks = new Map<string, Mark>();
  /** Check id to the endpoint that has it. */
  readonly #checks = new Map<string, string>();
  readonly #gone = new Map<string, number>();
  readonly #waiting = new Map<string, Set<() => void>>();
  /** How many wait, by where they ask from. */
  readonly #sources = new Map<string, number>();
  #watch: Watch | null = null;
  #waiters = 0;
  #index = 1;
  #listIndex = 1;
  /** Of services that were forgotten, and of those that never were. */
  #floor = 1;

  constructor({ registry, clock, maxWaiting = 10_000 }: { registry: Registry; clock: Clock; maxWaiting?: number }) {
    this.#registry = registry;
    this.#clock = clock;
    this.#maxWaiting = maxWaiting;
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

  /** Whoever waits is answered. */
  close(): void {
    this.#watch?.close();
    for (const waiting of [...this.#waiting.values()]) for (const wake of [...waiting]) wake();
  }

  get(id: string): Endpoint | undefined {
    return this.#byId.get(id);
  }

  /** Of endpoints that were registered by Consul's API. */
  get marks(): ReadonlyMap<string, Mark> {
    return this.#marks;
  }

  /** The endpoint that has a check of this id. */
  ofCheck(checkId: string): string | undefined {
    return this.#checks.get(checkId);
  }

  endpoints(): Iterable<Endpoint> {
    return this.#byId.values();
  }

  /** In the order of their ids. */
  of(service: string): Endpoint[] {
    const found = this.#services.get(service);
    if (found === undefined) return [];
    return [...found.endpoints.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  indexOf(of: Watched): number {
    if (of.kind === "all") return this.#index;
    if (of.kind === "list") return this.#listIndex;
    return this.#services.get(of.service)?.index ?? this.#gone.get(of.service) ?? this.#floor;
  }

  /** Something of a service changed that is not in the registry: what a check says. */
  touch(service: string): void {
    this.#index++;
    const found = this.#services.get(service);
    if (found !== undefined) found.index = this.#index;
    this.#wake([`service ${service}`, "all"]);
  }

  /**
   * Resolves when the index is another one than `known`, after `waitMs`, or when `gone` says that nobody waits any more. `source`: another machine, which has a quarter of
   * the places at most; "" is this one. Throws `resource_exhausted` when too many wait.
   */
  wait(of: Watched, known: number, waitMs: number, gone: (stop: () => void) => void, source = ""): Promise<void> {
    if (this.indexOf(of) !== known) return Promise.resolve();
    const ofSource = this.#sources.get(source) ?? 0;
    if (this.#waiters >= this.#maxWaiting || (source !== "" && ofSource >= Math.ceil(this.#maxWaiting / 4))) {
      const message = `${source === "" ? this.#waiters : ofSource} queries are waiting already, which is the limit; ask again later, or without ?index`;
      throw new WeftError("resource_exhausted", message, { reason: "TOO_MANY_WAITING" });
    }
    const key = of.kind === "service" ? `service ${of.service}` : of.kind;
    return new Promise((resolve) => {
      let waiting = this.#waiting.get(key);
      if (waiting === undefined) this.#waiting.set(key, (waiting = new Set()));
      const mine = waiting;
      let timer: Cancel = ignore;
      const done = (): void => {
        if (!mine.delete(done)) return;
        if (mine.size === 0 && this.#waiting.get(key) === mine) this.#waiting.delete(key);
        this.#waiters--;
        const left = (this.#sources.get(source) ?? 1) - 1;
        if (left === 0) this.#sources.delete(source);
        else this.#sources.set(source, left);
        timer();
        resolve();
      };
      mine.add(done);
      this.#waiters++;
      this.#sources.set(source, ofSource + 1);
      timer = this.#clock.after(waitMs, done);
      gone(done);
    });
  }

  #apply({ full, changed, removed, endpointVersion }: EndpointDelta): void {
    this.#index = Math.max(this.#index + 1, endpointVersion);
    const touched = new Set<string>();
    let listChanged = false;
    const remove = (id: string): void => {
      const endpoint = this.#byId.get(id);
      if (endpoint === undefined) return;
      this.#byId.delete(id);
      this.#mark(id, null);
      const view = this.#services.get(endpoint.service);
      view?.endpoints.delete(id);
      touched.add(endpoint.service);
      listChanged = true;
      if (view?.endpoints.size === 0) this.#forget(endpoint.service);
    };
    if (full) {
      const present = new Set(changed.map(({ id }) => id));
      for (const id of [...this.#byId.keys()]) if (!present.has(id)) remove(id);
    }
    for (const { id, service } of removed) if (this.#byId.get(id)?.service === service) remove(id);
    for (const endpoint of changed) {
      const before = this.#byId.get(endpoint.id);
      if (before === endpoint) continue;
      if (before !== undefined && before.service !== endpoint.service) remove(endpoint.id);
      listChanged ||= before === undefined || before.metadata[TAGS_METADATA] !== endpoint.metadata[TAGS_METADATA];
      this.#byId.set(endpoint.id, endpoint);
      const mark = before?.metadata === endpoint.metadata ? this.#marks.get(endpoint.id) : markOf(endpoint);
      this.#mark(endpoint.id, mark ?? null);
      let view = this.#services.get(endpoint.service);
      if (view === undefined) this.#services.set(endpoint.service, (view = { endpoints: new Map(), index: 0 }));
      view.endpoints.set(endpoint.id, endpoint);
      touched.add(endpoint.service);
    }
    for (const service of touched) {
      const view = this.#services.get(service);
      if (view !== undefined) view.index = this.#index;
    }
    if (listChanged) this.#listIndex = this.#index;
    this.#wake([...Array.from(touched, (service) => `service ${service}`), "all", ...(listChanged ? ["list"] : [])]);
  }

  #mark(id: string, mark: Mark | null): void {
    const before = this.#marks.get(id);
    if (before === mark) return;
    for (const check of before?.checks ?? []) if (this.#checks.get(check.id) === id) this.#checks.delete(check.id);
    if (mark === null) this.#marks.delete(id);
    else this.#marks.set(id, mark);
    for (const check of mark?.checks ?? []) this.#checks.set(check.id, id);
  }

  #forget(service: string): void {
    this.#services.delete(service);
    this.#gone.delete(service);
    this.#gone.set(service, this.#index);
    for (const [oldest, index] of this.#gone) {
      if (this.#gone.size <= MAX_GONE) break;
      this.#gone.delete(oldest);
      this.#floor = Math.max(this.#floor, index);
    }
  }

  #wake(keys: readonly string[]): void {
    for (const key of keys) for (const wake of [...(this.#waiting.get(key) ?? [])]) wake();
  }
}

/** What an index is of: one service with the health of its endpoints, which services and tags there are, or everything. */
export type Watched =
  | { readonly kind: "service"; readonly service: string }
  | { readonly kind: "list" }
  | { readonly kind: "all" };

interface ServiceView {
  readonly endpoints: Map<string, Endpoint>;
  index: number;
}

function ignore(): void {}

const MAX_GONE = 10_000;
