import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { asked, metadata, type Plane } from "./planes.ts";

/** Publishes revision after revision at whichever control plane answers, and remembers which were acknowledged. */
export class Publisher {
  readonly #planes: readonly Plane[];
  readonly #acknowledged = new Map<number, string>();
  readonly #running: Promise<void>;
  #stopped = false;
  refused = 0;

  constructor(planes: readonly Plane[]) {
    this.#planes = planes;
    this.#running = this.#run();
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Stops, and asserts that everything that was acknowledged is there, as it was published. */
  async check(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    const oldest = Math.min(...this.#acknowledged.keys());
    const reasons = new Map<number, string>();
    for (let before = 0n, more = true; more; more = before > BigInt(oldest)) {
      const { revisions } = await asked(this.#planes, ({ admin }) => admin.listRevisions({ limit: 500, before }));
      for (const { revision, reason } of revisions) reasons.set(Number(revision), reason);
      before = revisions.at(-1)?.revision ?? 0n;
    }
    for (const [revision, reason] of this.#acknowledged)
      assert.equal(reasons.get(revision), reason, `revision ${revision} was acknowledged`);
  }

  async #run(): Promise<void> {
    for (let n = 1; !this.#stopped; n++) {
      const plane = this.#planes[n % this.#planes.length];
      const policy = {
        apiVersion: "weftmesh.dev/v1",
        kind: "TrafficPolicy",
        metadata: { name: "elsewhere" },
        spec: { targetRefs: [{ kind: "Service", name: "elsewhere" }], timeout: `${n}ms` },
      };
      const reason = `change ${n}`;
      try {
        const published = await plane.admin.publishRevision(
          { resources: JSON.stringify([policy]), source: "suite", author: "suite", reason },
          { metadata, timeoutMs: 2_000 },
        );
        this.#acknowledged.set(Number(published.revision), reason);
      } catch (thrown) {
        this.refused++;
        const { code, message } = thrown as { code?: string; message: string };
        assert.ok(
          ["unavailable", "deadline_exceeded", "aborted", "internal", "cancelled"].includes(code ?? ""),
          `${code}: ${message}`,
        );
      }
      await wait(300);
    }
  }
}
