import type { EndpointValue } from "../../registry/endpoint-value.ts";
import type { Lease } from "../../registry/registry.ts";
import type { EtcdRegistry } from "./etcd-registry.ts";

/** One registration of this process: an etcd lease after the other, for as long as its owner renews it in time. */
export class EtcdLease implements Lease {
  readonly value: EndpointValue;
  readonly #registry: EtcdRegistry;
  /** The etcd lease under which the endpoint is now; 0: none (a registration without an end). */
  leaseId = 0n;
  /** When its owner last showed that it is there, before etcd was asked; so etcd's lease never ends before this and a period. */
  askedAt: number;
  /** Why it is over; null: it is not. */
  over: "released" | "expired" | "replaced" | null = null;

  constructor(registry: EtcdRegistry, value: EndpointValue, now: number) {
    this.#registry = registry;
    this.value = value;
    this.askedAt = now;
  }

  get id(): string {
    return this.value.endpoint.id;
  }

  get ttlMs(): number {
    return this.value.ttlMs;
  }

  /** Its owner has renewed it, or tried to, within its period. */
  isInUse(now: number): boolean {
    return this.over === null && now - this.askedAt < this.ttlMs;
  }

  renew(): Promise<void> {
    return this.#registry.renew(this);
  }

  release(): Promise<void> {
    return this.#registry.release(this);
  }
}
