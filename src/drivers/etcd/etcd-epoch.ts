import { randomBytes } from "node:crypto";
import {
  Compare_CompareTarget,
  type CompareSchema,
  type RequestOpSchema,
} from "../../contract/gen/etcdserverpb/rpc.ts";
import type { KeyValue } from "../../contract/gen/mvccpb/kv.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import type { EtcdSession } from "./etcd-session.ts";

/**
 * The data of one system in etcd, by the name that a key beside them holds: a random one, written by who finds none. When etcd loses its data, those that are there next have another name; and as every write
 * compares it, none is made into other data than those it was meant for.
 *
 * Versions are etcd's revisions, above a floor: the name's, and all that was known before. So they grow, too, when etcd counts anew.
 */
export class EtcdEpoch {
  readonly #key: Uint8Array;
  readonly #name: Uint8Array;
  readonly #floor: number;
  #highest: number;

  private constructor(key: Uint8Array, name: Uint8Array, before: EtcdEpoch | null) {
    this.#key = key;
    this.#name = name;
    this.#floor = Math.max(floorOf(name), before === null ? 0 : before.#highest);
    this.#highest = this.#floor;
  }

  /** What is there now, by a session, and etcd's revision then. `known`: what was known before, which is what is there if that has the same name and was not set back. */
  static async find(
    session: EtcdSession,
    key: Uint8Array,
    known: { readonly epoch: EtcdEpoch; readonly revision: number } | null,
  ): Promise<EtcdEpoch> {
    for (;;) {
      const { kvs, header } = await session.kv.range({ key });
      if (kvs.length > 0) {
        const [{ value }] = kvs;
        const same = known?.epoch.isNamed(value) === true && Number(header?.revision) >= known.revision;
        return same ? known.epoch : new EtcdEpoch(key, value, known?.epoch ?? null);
      }
      const floor = known === null ? 0 : known.epoch.#highest + FLOOR_GAP;
      const value = Buffer.from(JSON.stringify({ id: randomBytes(8).toString("hex"), floor }));
      // Somebody else may be first.
      await session.kv.txn({
        compare: [isAt(key, 0n)],
        success: [{ request: { case: "requestPut", value: { key, value } } }],
      });
    }
  }

  isNamed(value: Uint8Array): boolean {
    return Buffer.compare(this.#name, value) === 0;
  }

  versionOf(revision: bigint): number {
    const version = this.#floor + Number(revision);
    if (!Number.isSafeInteger(version)) {
      const text = `etcd's revision ${revision} is more than can be counted`;
      throw new WeftError("failed_precondition", text, { reason: "ETCD_REVISION_TOO_LARGE" });
    }
    this.#highest = Math.max(this.#highest, version);
    return version;
  }

  /** Null: the version is of other data. */
  revisionOf(version: number): bigint | null {
    return version > this.#floor ? BigInt(version - this.#floor) : null;
  }

  /**
   * Changes a key that was last changed in the revision `at` (0n: that is not there). Resolves with the revision of the change, or with what is there instead. Rejects `unavailable` where these
   * are other data.
   */
  async change(session: EtcdSession, key: Uint8Array, at: bigint, request: Change): Promise<Changed> {
    const named: Compare = {
      target: Compare_CompareTarget.VALUE,
      key: this.#key,
      targetUnion: { case: "value", value: this.#name },
    };
    const done = await session.kv.txn({
      compare: [named, isAt(key, at)],
      success: [{ request }],
      failure: [
        { request: { case: "requestRange", value: { key: this.#key } } },
        { request: { case: "requestRange", value: { key } } },
      ],
    });
    if (done.succeeded) return { revision: done.header?.revision ?? 0n, there: null };
    const [name, there] = done.responses.map(({ response }) =>
      response.case === "responseRange" ? (response.value.kvs[0] ?? null) : null,
    );
    if (name === null || !this.isNamed(name.value)) {
      const error = dataReplaced(session);
      session.fail(error);
      throw error;
    }
    return { revision: null, there };
  }
}

/** What becomes of one key. */
export type Change = MessageInitShape<typeof RequestOpSchema>["request"];

export type Changed =
  | { readonly revision: bigint; readonly there: null }
  | { readonly revision: null; readonly there: KeyValue | null };

/** It is found out by the next session what these are. */
export function dataReplaced({ address }: EtcdSession): WeftError {
  const text = `the data of etcd at ${address} are other ones than before`;
  return new WeftError("unavailable", text, { reason: "DATA_REPLACED", retryable: true });
}

type Compare = MessageInitShape<typeof CompareSchema>;

/** The key was last changed then; 0n: it is not there. */
function isAt(key: Uint8Array, revision: bigint): Compare {
  return { target: Compare_CompareTarget.MOD, key, targetUnion: { case: "modRevision", value: revision } };
}

/** What cannot be read is a name that says nothing of it. */
function floorOf(name: Uint8Array): number {
  try {
    const floor = JSON.parse(Buffer.from(name).toString("utf8"))?.floor;
    return Number.isSafeInteger(floor) ? Math.max(0, floor) : 0;
  } catch {
    return 0;
  }
}

/** Versions may have been told after the last that is known here. */
const FLOOR_GAP = 1_000_000;
