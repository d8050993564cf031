import type { Endpoint } from "../../core/endpoint.ts";
import { toWeftError } from "../../core/errors.ts";
import { CopyMachine, type CopyOptions, type CopyPlan } from "../../registry/copy-machine.ts";
import type { Lease, Watch } from "../../registry/registry.ts";
import type { RegistryAccess } from "./access.ts";

export interface CopierOptions extends CopyOptions {
  from: RegistryAccess;
  to: RegistryAccess;
  /** Of copies, ms. Infinity: until they are removed. */
  ttlMs: number;
  /** Told what was done, and what could not be. */
  onEvent: (event: CopyEvent) => void;
}

export type CopyEvent =
  | { readonly kind: "copied" | "removed" | "conflict"; readonly id: string }
  | { readonly kind: "health"; readonly id: string; readonly health: string }
  | { readonly kind: "failed"; readonly id: string; readonly message: string };

/** Carries out what a CopyMachine plans: as long as it runs, the target has what the source has. What fails is tried again a second later. */
export class Copier {
  readonly #options: CopierOptions;
  readonly #machine: CopyMachine;
  readonly #leases = new Map<string, Pick<Lease, "release">>();
  readonly #watches: Watch[] = [];
  readonly #failing = new Set<string>();
  #conflicts: ReadonlySet<string> = new Set();
  #working: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #settled: () => void = ignore;

  constructor(options: CopierOptions) {
    this.#options = options;
    this.#machine = new CopyMachine(options);
  }

  /** Begins; resolves when everything that was there at the start was copied, or could not be. */
  start(): Promise<void> {
    const { from, to, services = ["*"] } = this.#options;
    let heard = 0;
    const settled = new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
    const first = (): void => {
      if (++heard === 2) void this.#work().then(() => this.#settled());
    };
    const once = (tell: () => void) => {
      let told = false;
      return () => {
        if (!told) tell();
        told = true;
      };
    };
    const [source, target] = [once(first), once(first)];
    this.#watches.push(
      from.watch(services, (delta) => {
        this.#machine.source(delta);
        source();
        if (heard === 2) void this.#work();
      }),
      // Ids are unique among all services: whoever has one may be of any.
      to.watch(["*"], (delta) => {
        this.#machine.target(delta);
        target();
        if (heard === 2) void this.#work();
      }),
    );
    return settled;
  }

  /** What could not be copied. */
  get problems(): number {
    return this.#failing.size + this.#conflicts.size;
  }

  get copies(): number {
    return this.#machine.own().length;
  }

  /** Copies stay as long as their leases. */
  close(): void {
    this.#closed = true;
    for (const watch of this.#watches) watch.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #work(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#working !== null) {
      this.#again = true;
      return this.#working;
    }
    this.#working = this.#carryOut(this.#machine.plan()).finally(() => {
      this.#working = null;
      if (!this.#again) return;
      this.#again = false;
      return this.#work();
    });
    return this.#working;
  }

  async #carryOut({ register, remove, health, conflicts }: CopyPlan): Promise<void> {
    const { to, onEvent } = this.#options;
    const now = new Set(conflicts);
    for (const id of conflicts) if (!this.#conflicts.has(id)) onEvent({ kind: "conflict", id });
    this.#conflicts = now;
    this.#failing.clear();
    const acts: [string, () => Promise<void>][] = [
      ...register.map((endpoint): [string, () => Promise<void>] => [endpoint.id, () => this.#copy(endpoint)]),
      ...remove.map((id): [string, () => Promise<void>] => [
        id,
        async () => {
          const lease = this.#leases.get(id);
          this.#leases.delete(id);
          await (lease === undefined ? to.remove(id) : lease.release());
          this.#machine.removed(id);
          onEvent({ kind: "removed", id });
        },
      ]),
      ...health.map((one): [string, () => Promise<void>] => [
        one.id,
        async () => {
          await to.setHealth(one.id, one.health, "as it is where it was copied from");
          this.#machine.said(one.id, one.health);
          onEvent({ kind: "health", ...one });
        },
      ]),
    ];
    for (let i = 0; i < acts.length && !this.#closed; i += AT_ONCE)
      await Promise.all(
        acts.slice(i, i + AT_ONCE).map(([id, act]) => act().catch((thrown) => this.#failed(id, thrown))),
      );
    if (this.#failing.size > 0 && !this.#closed) {
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#work(), RETRY_MS);
    }
  }

  async #copy(endpoint: Endpoint): Promise<void> {
    const { to, ttlMs, onEvent } = this.#options;
    // It may be an older copy of this one's, at another place: that was looked at.
    this.#leases.set(endpoint.id, await to.register(endpoint, ttlMs, true));
    this.#machine.registered(endpoint);
    onEvent({ kind: "copied", id: endpoint.id });
  }

  #failed(id: string, thrown: unknown): void {
    this.#failing.add(id);
    this.#options.onEvent({ kind: "failed", id, message: toWeftError(thrown).message });
  }
}

function ignore(): void {}

const AT_ONCE = 16;
const RETRY_MS = 1_000;
