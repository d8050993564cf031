import type { Endpoint, Health } from "../core/endpoint.ts";

/**
 * Where services are. One interface for every driver; `registry.case.ts` is the contract suite that each of them passes.
 *
 * Endpoint versions count every change (registration, health, removal); they order what watchers see and are never rolled back.
 */
export interface Registry {
  /** Registers an endpoint under a lease of `ttlMs`; the same id again replaces it (and its lease). The endpoint's health is its owner's word;
   * what an active check had found is forgotten, for somebody is there. Registering what is there already changes nothing but the lease.
   * Rejects bad names and addresses with `invalid_argument`, naming the field. */
  register(endpoint: Endpoint, ttlMs: number): Promise<Lease>;
  /** Everything known now of the named services ("*" for all). Unhealthy endpoints are included: consumers look at `health`. */
  query(services: readonly string[]): Promise<EndpointList>;
  /** First `listener` gets the whole state as one delta, then every change, in order (changes close together may come as one delta).
   * Never two at once, never from inside watch() itself. */
  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch;
  /** Records an endpoint's health as its owner says it ("owner", the default) or as an active check found it ("check"). What consumers see is
   * "draining" when the owner says so, else "unhealthy" when either does, else "healthy". Unknown ids are `not_found`. */
  setHealth(id: string, health: Health, reason: string, by?: HealthSource): Promise<void>;
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

export interface EndpointList {
  readonly endpointVersion: number;
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
