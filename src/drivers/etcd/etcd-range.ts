import type { KeyValue } from "../../contract/gen/mvccpb/kv.ts";
import { toWeftError } from "../../core/errors.ts";
import type { KeyRange } from "./etcd-keys.ts";
import type { EtcdSession } from "./etcd-session.ts";

/** Everything in a range, as of one revision (of now, or later), in pages of so many keys. */
export async function readRange(
  { kv }: EtcdSession,
  { key, rangeEnd, keysOnly, pageSize }: KeyRange & { readonly keysOnly?: boolean; readonly pageSize: number },
): Promise<{ readonly kvs: readonly KeyValue[]; readonly revision: bigint }> {
  const limit = BigInt(pageSize);
  for (;;) {
    const kvs: KeyValue[] = [];
    let from = key;
    let revision = 0n;
    try {
      for (;;) {
        const page = await kv.range({ key: from, rangeEnd, keysOnly, limit, revision });
        revision ||= page.header?.revision ?? 0n;
        for (const one of page.kvs) kvs.push(one);
        if (!page.more || page.kvs.length === 0) return { kvs, revision };
        from = Buffer.concat([page.kvs[page.kvs.length - 1].key, Buffer.of(0)]);
      }
    } catch (thrown) {
      // Compacted between two pages: all of it anew.
      if (toWeftError(thrown).code !== "out_of_range" || revision === 0n) throw thrown;
    }
  }
}
