import type { WeftError } from "../core/errors.ts";
import type { EndpointEntry } from "./endpoint-value.ts";

export type { EndpointEntry };

/**
 * A place outside this process where several control planes keep endpoints (etcd, Consul, ZooKeeper, Kubernetes, PostgreSQL). BackedRegistry makes a Registry of it, and has all that
 * is alike: leases, which are held in the memory of the control plane that took the registration (renewals never reach the backend); watchers; what
 * is held in rotation while the backend, or another control plane, is away; putting back what the backend lost.
 *
 * What it holds outlives the plane that put it there: a plane has a sign of life of its own (an ephemeral node, a session, a row with a heartbeat), and when that ends
 * its entries are `orphaned`: still kept and told, so that their processes can register elsewhere; who is in touch removes them after a while. When the plane is back they
 * are told once more, as not orphaned. (Where the backend itself removes entries with their plane, they are told as removed, orphaned.) Nobody compares clocks of two machines: a plane
 * is dead when its sign of life has not changed for so long by the clock of who looks, and who looks was in touch meanwhile.
 *
 * Versions are numbers that grow with every change of one id, also when it was removed in between (etcd's mod revision, Consul's ModifyIndex, ZooKeeper's mzxid): an event or an answer with
 * an older one than is known changes nothing.
 *
 * replace, remove, get and read reject `unavailable` where the place does not answer, at the latest 5 s after they were asked; what was asked may have been carried out then, or may be later
 * (a server that stood still reads what waits in its sockets). So every write is conditional, and the backend itself asks for none twice: BackedRegistry does, after looking.
 */
export interface EndpointBackend {
  /** For messages: "Consul at 127.0.0.1:8500". */
  readonly name: string;
  /** Begins to follow what is kept, in the name of `plane` (unique to this run), and goes on until close(), whatever happens: it reconnects by itself, with jitter. Resolves when the
   * first whole state was told; rejects what cannot be helped by waiting (`unauthenticated`, `permission_denied`, `invalid_argument`). */
  follow(plane: string, events: BackendEvents): Promise<void>;
  /** Keeps an entry, whose plane may be another one, if what has its id there has the version `expected` (whoever's it is); 0: if there is none of its id. Resolves with its version when it is
   * acknowledged; null: it was not so, and nothing was changed. */
  replace(entry: EndpointEntry, expected: number): Promise<number | null>;
  /** Removes an entry if it still has this owner. Idempotent. Others are told of it as not `orphaned`. */
  remove(id: string, owner: string): Promise<void>;
  /** What is kept under an id, linearizable with what anybody was acknowledged. */
  get(id: string): Promise<KeptEntry | null>;
  /** Everything that is kept, as of one moment, linearizable with what anybody was acknowledged. */
  read(): Promise<readonly KeptEntry[]>;
  /** This plane's entries stay; its sign of life may end. Idempotent. */
  close(): Promise<void>;
}

/** An entry as a backend keeps it. */
export interface KeptEntry {
  readonly entry: EndpointEntry;
  readonly version: number;
  /** Its plane's sign of life ended; the endpoint itself may be well. */
  readonly orphaned?: boolean;
}

/** What a backend tells, in the order in which it happened. Never from inside follow(), replace(), remove(), get() or read(). */
export interface BackendEvents {
  /** Everything that is kept: first, and after every gap. It is a sign of being in touch, too. `lost`: the backend knows that these are other data than before, so what is missing was lost
   * and not removed. In the mode "consistent" what is missing otherwise is not put back: its owner is told that its lease has expired. */
  whole(entries: readonly KeptEntry[], lost?: boolean): void;
  /** Changes since. */
  changed(changes: readonly BackendChange[]): void;
  /** In touch: all that had happened a second ago was told. At least once a second while that is so. */
  confirmed(): void;
  /** Out of touch; told once, until confirmed() or whole(). */
  lost(error: WeftError): void;
  /** Something there cannot be used (a value that is no endpoint); it was left out. */
  unusable(error: WeftError): void;
}

export type BackendChange =
  | ({ readonly kind: "put" } & KeptEntry)
  /** `orphaned`: nobody took it away; the sign of life of its plane ended, and the endpoint itself may be well. `version`, where the backend knows it: of what was removed, or of
   * its removal; `owner`, likewise: of what was removed, which may have been put and removed without having been told. */
  | {
      readonly kind: "removed";
      readonly id: string;
      readonly orphaned: boolean;
      readonly version?: number;
      readonly owner?: string;
    };
