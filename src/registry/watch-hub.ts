import type { Endpoint } from "../core/endpoint.ts";
import type { EndpointChange } from "./lease-table.ts";
import type { EndpointDelta, Watch } from "./registry.ts";

/**
 * Hands changes to the watchers that named their services: the cost of a change is its service's watchers, not all. A new watcher's full state is
 * delivered in a microtask of its own, as of then, so that nothing is lost or told twice between the two.
 *
 * A listener must not throw; what it throws surfaces as an uncaught exception after every other watcher was told.
 */
export class WatchHub {
  readonly #source: WatchSource;
  readonly #publishPending: () => void;
  readonly #byService = new Map<string, Set<Watcher>>();
  #closed = false;

  /** `publishPending` is called before a watcher starts: what has happened belongs to its full state alone. */
  constructor(source: WatchSource, publishPending: () => void) {
    this.#source = source;
    this.#publishPending = publishPending;
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    const all = services.includes("*");
    const watcher: Watcher = { services: all ? ["*"] : [...new Set(services)], listener, closed: false };
    queueMicrotask(() => {
      if (watcher.closed || this.#closed) return;
      this.#publishPending();
      for (const service of watcher.services) {
        let watchers = this.#byService.get(service);
        if (watchers === undefined) this.#byService.set(service, (watchers = new Set()));
        watchers.add(watcher);
      }
      const { version } = this.#source;
      deliver(watcher, {
        endpointVersion: version,
        full: true,
        changed: this.#source.list(watcher.services),
        removed: [],
      });
    });
    return { close: () => this.#remove(watcher) };
  }

  publish(changes: readonly EndpointChange[], endpointVersion: number): void {
    if (this.#byService.size === 0) return;
    const batches = new Map<Watcher, { changed: Endpoint[]; removed: EndpointDelta["removed"][number][] }>();
    const batchOf = (watcher: Watcher) => {
      let batch = batches.get(watcher);
      if (batch === undefined) batches.set(watcher, (batch = { changed: [], removed: [] }));
      return batch;
    };
    for (const { id, before, after, reason } of changes) {
      if (before !== null && before.service !== after?.service) {
        for (const watcher of this.#byService.get(before.service) ?? []) {
          batchOf(watcher).removed.push({ id, service: before.service, reason });
        }
      }
      if (after !== null) {
        for (const watcher of this.#byService.get(after.service) ?? []) batchOf(watcher).changed.push(after);
      }
      for (const watcher of this.#byService.get("*") ?? []) {
        if (after !== null) batchOf(watcher).changed.push(after);
        else if (before !== null) batchOf(watcher).removed.push({ id, service: before.service, reason });
      }
    }
    for (const [watcher, { changed, removed }] of batches) {
      deliver(watcher, { endpointVersion, full: false, changed, removed });
    }
  }

  /** After a gap: gives everybody the whole state. */
  tellAll(): void {
    const { version } = this.#source;
    for (const watcher of new Set([...this.#byService.values()].flatMap((watchers) => [...watchers])))
      deliver(watcher, {
        endpointVersion: version,
        full: true,
        changed: this.#source.list(watcher.services),
        removed: [],
      });
  }

  close(): void {
    this.#closed = true;
    this.#byService.clear();
  }

  #remove(watcher: Watcher): void {
    watcher.closed = true;
    for (const service of watcher.services) {
      const watchers = this.#byService.get(service);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#byService.delete(service);
    }
  }
}

/** Where a new watcher's full state comes from. */
export interface WatchSource {
  list(services: readonly string[]): Endpoint[];
  readonly version: number;
}

interface Watcher {
  readonly services: readonly string[];
  readonly listener: (delta: EndpointDelta) => void;
  closed: boolean;
}

function deliver(watcher: Watcher, delta: EndpointDelta): void {
  if (watcher.closed) return;
  try {
    watcher.listener(delta);
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown;
    });
  }
}
