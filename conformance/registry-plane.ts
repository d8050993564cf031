import assert from "node:assert/strict";
import type { Clock } from "../src/core/clock.ts";
import type { WeftError } from "../src/core/errors.ts";
import { endpointOf } from "../src/registry/registry.case.ts";
import type { ConsistencyMode, EndpointDelta, Lease, Registry } from "../src/registry/registry.ts";

/** How a driver opens a registry. */
export type OpenRegistry = (options: {
  url: string;
  system: string;
  mode?: ConsistencyMode;
  clock?: Clock;
  openTimeoutMs?: number;
  onError?: (error: WeftError) => void;
}) => Promise<Registry>;

/** Of all leases here: so short that a pause of a few seconds is to them what 30 s are to those of 15 s. */
export const TTL_MS = 3_000;

/** What a control plane does with its registry: it follows all of it, and renews what it holds. */
export class Plane {
  readonly registry: Registry;
  readonly deltas: EndpointDelta[] = [];
  readonly problems: string[] = [];
  /** What it has seen leave. */
  readonly left: string[] = [];
  readonly #state = new Map<string, number>();
  readonly #leases = new Map<string, Lease>();
  readonly #beat: NodeJS.Timeout;

  static async open(
    open: OpenRegistry,
    options: { url: string; system: string; clock?: Clock; mode?: ConsistencyMode },
  ): Promise<Plane> {
    const problems: string[] = [];
    const registry = await open({ ...options, onError: ({ message }) => problems.push(message) });
    return new Plane(registry, problems);
  }

  private constructor(registry: Registry, problems: string[]) {
    this.registry = registry;
    this.problems = problems;
    registry.watch(["*"], (delta) => {
      const last = this.deltas.at(-1);
      assert.ok(last === undefined || delta.endpointVersion > last.endpointVersion, "an endpoint version did not grow");
      this.deltas.push(delta);
      const before = new Set(this.#state.keys());
      if (delta.full) this.#state.clear();
      for (const { id } of delta.removed) this.#state.delete(id);
      for (const { id, port } of delta.changed) this.#state.set(id, port);
      for (const id of before) if (!this.#state.has(id)) this.left.push(id);
    });
    this.#beat = setInterval(() => {
      for (const [id, lease] of this.#leases) {
        lease.renew().catch((error) => {
          if (error.code === "not_found" && this.#leases.get(id) === lease) problems.push(`${id}: ${error.reason}`);
        });
      }
    }, TTL_MS / 3);
  }

  async register(number: number, port = 9_000, ttlMs = TTL_MS): Promise<void> {
    const lease = await this.registry.register(endpointOf("alpha", number, { port }), ttlMs);
    this.#leases.set(lease.id, lease);
  }

  /** As of a process that dies. */
  forget(number: number): void {
    this.#leases.delete(`alpha-${number}`);
  }

  ids(): string {
    return [...this.#state.keys()].sort().join(" ");
  }

  portOf(number: number): number | undefined {
    return this.#state.get(`alpha-${number}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    await this.registry.close();
  }
}

/** How long it takes until it holds, ms; fails after `limitMs`. */
export async function timeUntil(
  holds: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 5_000,
): Promise<number> {
  const started = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - started < limitMs, `not within ${limitMs} ms: ${what}`);
    await wait(5);
  }
  return performance.now() - started;
}

/** Whether it came to a good end. */
export function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
