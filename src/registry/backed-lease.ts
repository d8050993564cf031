import type { EndpointEntry } from "./endpoint-value.ts";
import type { Lease } from "./registry.ts";

/** One registration of this process in a backend: its period passes in this process's memory. */
export class BackedLease implements Lease {
  readonly entry: EndpointEntry;
  /** What the lease table wants to be shown. */
  readonly token: number;
  readonly #keeper: LeaseKeeper;
  /** The backend's, of the entry as it was last seen there in this registration's name. */
  version: number;
  /** Why it is over; null: it is not. */
  over: "released" | "expired" | "replaced" | null = null;

  constructor(keeper: LeaseKeeper, entry: EndpointEntry, version: number, token: number) {
    this.#keeper = keeper;
    this.entry = entry;
    this.version = version;
    this.token = token;
  }

  get id(): string {
    return this.entry.endpoint.id;
  }

  get ttlMs(): number {
    return this.entry.ttlMs;
  }

  get owner(): string {
    return this.entry.owner;
  }

  renew(): Promise<void> {
    return this.#keeper.renew(this);
  }

  release(): Promise<void> {
    return this.#keeper.release(this);
  }
}

/** Where a lease is renewed and released. */
export interface LeaseKeeper {
  renew(lease: BackedLease): Promise<void>;
  release(lease: BackedLease): Promise<void>;
}
