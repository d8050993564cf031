import type { Endpoint, Health } from "../core/endpoint.ts";
import type { WeftError } from "../core/errors.ts";

/** One registration as it is kept in a place that several control planes see. */
export interface EndpointEntry {
  /** As it was registered; its `health` is its owner's word. */
  readonly endpoint: Endpoint;
  /** What active checks found. */
  readonly check: Health;
  /** Names one registration: who shows it may renew and release. "": what was put there by others than weft, which is only read. */
  readonly owner: string;
  /** The control plane that holds its lease. */
  readonly plane: string;
  /** Infinity: it never ends. */
  readonly ttlMs: number;
}

/**
 * A place outside this process where several control planes keep endpoints (Consul, ZooKeeper, Kubernetes, PostgreSQL). BackedRegistry makes a Registry of it, and has all that
 * is alike: leases, which are held in the memory of the control plane that took the registration (renewals never reach the backend); watchers; what
 * is held in rotation while the backend, or another control plane, is away; putting back what the backend lost.
 *
 * Versions are numbers that grow with every change of one entry (etcd's mod revision, Consul's ModifyIndex, ZooKeeper's mzxid): an event or an answer with an
 * older one than is known changes nothing.
 */
export interface EndpointBackend {
  /** For messages: "Consul at 127.0.0.1:8500". */
  readonly name: string;
  /** Begins to follow what is kept, in the name of `plane` (unique to this run), and goes on until close(), whatever happens: it reconnects by itself, with jitter. Resolves when the
   * first whole state was told; rejects what cannot be helped by waiting (`unauthenticated`, `invalid_argument`). */
  follow(plane: string, events: BackendEvents): Promise<void>;
  /** Keeps an entry in this plane's name, in place of whatever has its id. Resolves with its version when the backend has acknowledged it. */
  put(entry: EndpointEntry): Promise<number>;
  /** Replaces an entry, whose plane may be another one, if the one there still has this `owner` and version `expected`. Null: it has not. */
  replace(entry: EndpointEntry, expected: number): Promise<number | null>;
  /** Removes an entry if it still has this owner. Idempotent. Others are told of it as not `orphaned`. */
  remove(id: string, owner: string): Promise<void>;
  /** Everything that is kept, linearizable with what anybody was acknowledged. Rejects `unavailable`. */
  read(): Promise<readonly KeptEntry[]>;
  /** This plane's entries stay; what keeps them (a session, a lease) may end. Idempotent. */
  close(): Promise<void>;
}

export interface KeptEntry {
  readonly entry: EndpointEntry;
  readonly version: number;
}

/** What a backend tells, in the order in which it happened. Never from inside follow(), put(), replace() or remove(). */
export interface BackendEvents {
  /** Everything that is kept: first, and after every gap. */
  whole(entries: readonly KeptEntry[]): void;
  /** Changes since. */
  changed(changes: readonly BackendChange[]): void;
  /** In touch: all that has happened until now was told. At least once a second while that is so. */
  confirmed(): void;
  /** Out of touch; told once, until confirmed() or whole(). */
  lost(error: WeftError): void;
  /** Something there cannot be used (a value that is no endpoint); it was left out. */
  unusable(error: WeftError): void;
}

export type BackendChange =
  | { readonly kind: "put"; readonly entry: EndpointEntry; readonly version: number }
  /** `orphaned`: nobody took it away; the line of its plane to the backend ended, and the endpoint itself may be well. */
  | { readonly kind: "removed"; readonly id: string; readonly orphaned: boolean };
