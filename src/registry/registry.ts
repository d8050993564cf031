import type { Endpoint, Health } from "../core/endpoint.ts";

/**
 * Where services are. One interface for every driver; `registry.case.ts` is the contract suite that each of them passes.
 *
 * Endpoint versions count every change (registration, health, removal); they order what watchers see and are never rolled back.
 */
export interface Registry {
  /** Registers an endpoint under a lease of `ttlMs`; the same id again replaces it. Rejects bad names and addresses with `invalid_argument`, naming the field. */
  register(endpoint: Endpoint, ttlMs: number): Promise<Lease>;
  /** Everything known now of the named services ("*" for all). Unhealthy endpoints are included: consumers look at `health`. */
  query(services: readonly string[]): Promise<EndpointList>;
  /** First `listener` gets the whole state as one delta, then every change, in order. Never two at once. */
  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch;
  /** Marks an endpoint's health as seen by an active check or by its owner. Unknown ids are `not_found`. */
  setHealth(id: string, health: Health, reason: string): Promise<void>;
  close(): Promise<void>;
}

export interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  /** Extends the lease. `not_found` when it had expired: register again. */
  renew(): Promise<void>;
  /** Removes the endpoint. Idempotent. */
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
