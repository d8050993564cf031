import { Compare_CompareTarget, type CompareSchema } from "../../contract/gen/etcdserverpb/rpc.ts";
import type { KeyValue } from "../../contract/gen/mvccpb/kv.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { decodeEndpointValue, type EndpointValue, encodeEndpointValue } from "../../registry/endpoint-value.ts";
import { outcomeUnknown } from "../../registry/outcome-unknown.ts";
import type { Found } from "./etcd-mirror.ts";
import type { EtcdSession } from "./etcd-session.ts";

export interface EtcdPutOptions {
  readonly key: Uint8Array;
  readonly value: EndpointValue;
  /** Of what is there, as far as is known; 0: nothing. */
  readonly at: number;
  /** Rejects `aborted` (OUTCOME_UNKNOWN) rather than register over what may have come later. */
  readonly certain: boolean;
}

/** One registration, in as many attempts as it takes: each may be carried out later than its answer was given up, so none is over what came since. */
export class EtcdPut {
  readonly #options: EtcdPutOptions;
  /** What is there; null: it has to be looked at. */
  #at: number | null;
  /** With what an attempt was compared of which it is not known whether it was carried out. */
  #doubt: number | null = null;

  constructor(options: EtcdPutOptions) {
    this.#options = options;
    this.#at = options.at;
  }

  /** `earlier`: the etcd lease that is not needed any more. */
  async attempt(session: EtcdSession): Promise<{ revision: bigint; leaseId: bigint; earlier: bigint }> {
    const { key, value, certain } = this.#options;
    const leaseId = await grant(session, value.ttlMs);
    for (;;) {
      if (this.#at === null) {
        const [there] = (await session.kv.range({ key })).kvs;
        if (there !== undefined && foundOf(there)?.value.owner === value.owner)
          return { revision: there.modRevision, leaseId: there.lease, earlier: leaseId };
        this.#at = Number(there?.modRevision ?? 0);
        // If it was, somebody has replaced it since: to register again would undo what came later.
        const again = this.#doubt === null || (this.#doubt === this.#at && this.#at !== 0);
        if (certain && !again) throw outcomeUnknown(value.endpoint.id);
      }
      const compare = [isAt(key, this.#at)];
      const before = this.#doubt;
      this.#doubt = this.#at;
      this.#at = null;
      const put = { key, value: encodeEndpointValue(value), lease: leaseId, prevKv: true };
      const done = await session.kv.txn({ compare, success: [{ request: { case: "requestPut", value: put } }] });
      if (!done.succeeded) {
        this.#doubt = before;
        continue;
      }
      const { response } = done.responses[0];
      const earlier = response.case === "responsePut" ? (response.value.prevKv?.lease ?? 0n) : 0n;
      return { revision: done.header?.revision ?? 0n, leaseId, earlier };
    }
  }
}

/** An etcd lease, whose shortest period is etcd's own (2 s by default). 0n for a period without an end. */
export async function grant(session: EtcdSession, ttlMs: number): Promise<bigint> {
  if (ttlMs === Number.POSITIVE_INFINITY) return 0n;
  return (await session.lease.leaseGrant({ TTL: BigInt(Math.ceil(ttlMs / 1_000)) })).ID;
}

/** The key was last changed then; 0: it is not there. */
export function isAt(key: Uint8Array, revision: number): MessageInitShape<typeof CompareSchema> {
  return {
    target: Compare_CompareTarget.MOD,
    key,
    targetUnion: { case: "modRevision", value: BigInt(revision) },
  };
}

/** Null for what is no endpoint. */
export function foundOf(kv: KeyValue): Found | null {
  try {
    return { value: decodeEndpointValue(kv.value), revision: Number(kv.modRevision) };
  } catch {
    return null;
  }
}
