import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import type { Clock } from "../core/clock.ts";
import { ANY, type KeyValue } from "./key-value.ts";
import { type KeptText, type RevisionEntry, unusable } from "./revision-entry.ts";

/**
 * The texts of revisions, compressed; those that are large in chunks named by what they hold, so that a revision shares with the one before what both have. A chunk that the newest
 * entry does not name is put again even where it is there, so that nobody drops it who took it for unused.
 */
export class RevisionContents {
  readonly #store: KeyValue;
  readonly #clock: Clock;
  /** The text of each kind that was read or written last. */
  readonly #known = new Map<string, { readonly chunks: string; readonly text: string }>();
  /** Chunks that no entry named: the version at which, and since when. */
  #unused = new Map<string, { readonly version: string; readonly sinceMs: number }>();

  constructor(store: KeyValue, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async put(texts: readonly string[], before: RevisionEntry | null): Promise<KeptText[]> {
    const named = new Set([...(before?.resources.chunks ?? []), ...(before?.settings.chunks ?? [])]);
    const kept: KeptText[] = [];
    const puts: Promise<unknown>[] = [];
    for (const text of texts) {
      const packed = await pack(text);
      if (packed.byteLength <= INLINE_BYTES) {
        kept.push({ packed: packed.toString("base64") });
        continue;
      }
      const chunks: string[] = [];
      for (let at = 0; at < packed.byteLength; at += CHUNK_BYTES) {
        const chunk = packed.subarray(at, at + CHUNK_BYTES);
        const digest = createHash("sha256").update(chunk).digest("hex");
        chunks.push(digest);
        if (named.has(digest)) continue;
        named.add(digest);
        const put = this.#store.put(keyOf(digest), chunk, ANY);
        put.catch(ignore); // it is heard of below, while the next text may still be packed
        puts.push(put);
        if (puts.length % AT_ONCE === 0) await Promise.all(puts);
      }
      kept.push({ chunks });
    }
    await Promise.all(puts);
    return kept;
  }

  /** `kind`: what is remembered of, so that a revision that changed only the other is not read whole. Throws `data_loss`. */
  async get({ packed, chunks = [] }: KeptText, kind: string): Promise<string> {
    if (packed !== undefined) return unpacked(Buffer.from(packed, "base64"));
    const name = chunks.join(" ");
    const known = this.#known.get(kind);
    if (known?.chunks === name) return known.text;
    const parts: Uint8Array[] = [];
    for (const digest of chunks) {
      const item = await this.#store.get(keyOf(digest));
      if (item === null || createHash("sha256").update(item.value).digest("hex") !== digest)
        throw unusable(`chunk ${digest}`);
      parts.push(item.value);
    }
    const text = await unpacked(Buffer.concat(parts));
    this.#known.set(kind, { chunks: name, text });
    return text;
  }

  /** Drops chunks that nobody has named or put for GRACE_MS, as far as calls of this one saw. */
  async drop(inUse: () => Promise<ReadonlySet<string>>): Promise<void> {
    const keys = await this.#store.keys(CHUNKS);
    if (keys.length === 0) return;
    const used = await inUse();
    const now = this.#clock.now();
    const unused = new Map<string, { version: string; sinceMs: number }>();
    for (const key of keys) {
      if (used.has(key.slice(CHUNKS.length + 1))) continue;
      const item = await this.#store.get(key);
      if (item === null) continue;
      const seen = this.#unused.get(key);
      const { sinceMs } = seen?.version === item.version ? seen : { sinceMs: now };
      if (now - sinceMs < GRACE_MS || !(await this.#store.delete(key, item.version)))
        unused.set(key, { version: item.version, sinceMs });
    }
    this.#unused = unused;
  }
}

async function unpacked(bytes: Uint8Array): Promise<string> {
  try {
    return (await unpack(bytes, { maxOutputLength: MAX_TEXT_BYTES })).toString();
  } catch {
    throw unusable("a revision's content");
  }
}

function keyOf(digest: string): string {
  return `${CHUNKS}/${digest}`;
}

const CHUNKS = "revisions/chunks";
const INLINE_BYTES = 8_192;
const CHUNK_BYTES = 196_608;
const AT_ONCE = 8;
const GRACE_MS = 60_000;
const MAX_TEXT_BYTES = 268_435_456;
const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);

function ignore(): void {}
