import type { Clock } from "../../core/clock.ts";
import type { EtcdSession } from "./etcd-session.ts";

/**
 * The key by which others see that this control plane lives: etcd takes it away when its lease was not renewed for its period. It is made again whenever it is gone.
 *
 *     none --granted, put--> there --renewed every RENEW_MS--> there
 *      ^------ the lease is over, or somebody deleted the key ---'
 */
export class EtcdSign {
  readonly #key: Uint8Array;
  readonly #clock: Clock;
  #leaseId = 0n;
  /** By whom it was renewed last, and when. */
  #session: EtcdSession | null = null;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** The revision that it was put with. */
  #madeAt = 0;

  constructor(key: Uint8Array, clock: Clock) {
    this.#key = key;
    this.#clock = clock;
  }

  /** Renews it, or makes it. `seen`: whether it is there, as of a revision. Never twice at once. */
  async keep(session: EtcdSession, seen: { readonly revision: number; readonly there: boolean } | null): Promise<void> {
    const now = this.#clock.now();
    const gone = seen !== null && !seen.there && seen.revision >= this.#madeAt;
    if (this.#leaseId !== 0n && !gone) {
      if (this.#session === session && now - this.#renewedAt < RENEW_MS) return;
      if ((await session.keepAlive(this.#leaseId)) > 0) return this.#renewed(session, now);
    }
    const { ID } = await session.lease.leaseGrant({ TTL: PERIOD_S });
    const { header } = await session.kv.put({ key: this.#key, lease: ID });
    this.#leaseId = ID;
    this.#madeAt = Number(header?.revision ?? 0n);
    this.#renewed(session, now);
  }

  /** Takes it away: others need not find out by themselves. */
  async end({ lease }: EtcdSession): Promise<void> {
    if (this.#leaseId !== 0n) await lease.leaseRevoke({ ID: this.#leaseId });
  }

  #renewed(session: EtcdSession, now: number): void {
    this.#session = session;
    this.#renewedAt = now;
  }
}

/** So long after its last renewal a plane is taken for dead. */
const PERIOD_S = 6n;
const RENEW_MS = 1_500;
