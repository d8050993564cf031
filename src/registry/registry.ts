import type { Endpoint, Health } from "../core/endpoint.ts";

/**
 * Where services are. One interface for every driver; `registry.case.ts` is the contract suite that each of them passes.
 *
 * Endpoint versions count every change (registration, health, removal); they order what watchers see and are never rolled back.
 */
export interface Registry {
  /** What it does when the place where endpoints are kept does not answer: see ConsistencyMode. */
  readonly mode: ConsistencyMode;
  /** Registers an endpoint under a lease of `ttlMs`; the same id again replaces it (and its lease). The endpoint's health is its owner's word;
   * what an active check had found is forgotten, for somebody is there. Registering what is there already changes nothing but the lease.
   * Rejects bad names and addresses with `invalid_argument`, naming the field. */
  register(endpoint: Endpoint, ttlMs: number): Promise<Lease>;
  /** Everything known now of the named services ("*" for all). Unhealthy endpoints are included: consumers look at `health`. In the mode "consistent"
   * it holds every change that was acknowledged before the query began, whoever made it, or rejects `unavailable` (NOT_CONFIRMED). Of no services it is never refused: it says how stale what is known is. */
  query(services: readonly string[]): Promise<EndpointList>;
  /** First `listener` gets the whole state as one delta, then every change, in order (changes close together may come as one delta).
   * Never two at once, never from inside watch() itself. */
  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch;
  /** Records an endpoint's health as its owner says it ("owner", the default) or as an active check found it ("check"). What consumers see is
   * "draining" when the owner says so, else "unhealthy" when either does, else "healthy". Unknown ids are `not_found`. */
  setHealth(id: string, health: Health, reason: string, by?: HealthSource): Promise<void>;
  /** Says which services will be asked for. A registry that cannot list what there is (DNS) looks for them from now on, and they belong to "*". Others have no need of it. */
  seek?(services: readonly string[]): void;
  /** Ends watches and leases' timers. Endpoints stay where the driver keeps them. */
  close(): Promise<void>;
}

export type HealthSource = "owner" | "check";

export interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  /** Extends the lease by its full period. `not_found` when it is gone: reason LEASE_EXPIRED (register again) or LEASE_REPLACED (another owner
   * registered the same id, which is now theirs). */
  renew(): Promise<void>;
  /** Removes the endpoint, unless another owner has registered its id since. Idempotent. */
  release(): Promise<void>;
}

/**
 * "available": reads are answered from what is known, however old (`staleMs` says how old), and never fail for want of the place where endpoints are
 * kept. "consistent": reads and changes are linearizable; what cannot be confirmed is refused. Watches tell the same in both: every change, once it is known.
 */
export type ConsistencyMode = "available" | "consistent";

export interface EndpointList {
  readonly endpointVersion: number;
  /** How long ago this was known to be all there is, ms: 0 while in touch with the place where endpoints are kept. */
  readonly staleMs: number;
  readonly endpoints: readonly Endpoint[];
}

export interface EndpointDelta {
  readonly endpointVersion: number;
  /** True for the first delta and after a gap: `changed` is then the whole state and everything else is gone. */
  readonly full: boolean;
  readonly changed: readonly Endpoint[];
  readonly removed: readonly { readonly id: string; readonly service: string; readonly reason: string }[];
}

export interface Watch {
  close(): void;
}
