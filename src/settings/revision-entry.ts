import { WeftError } from "../core/errors.ts";
import type { RevisionNote } from "./revision-store.ts";

/** A revision as it is kept: what it says of itself, and where its contents are. */
export interface RevisionEntry extends RevisionNote {
  /** Of this attempt to append alone. */
  readonly id: string;
  readonly resources: KeptText;
  readonly settings: KeptText;
}

/** A text compressed by zstd: here (base64), or in chunks that are found by their digests. */
export interface KeptText {
  readonly packed?: string;
  readonly chunks?: readonly string[];
}

export function encodeEntry(entry: RevisionEntry): Uint8Array {
  return Buffer.from(JSON.stringify(entry));
}

/** Throws `data_loss` for what cannot be read. */
export function decodeEntry(value: Uint8Array, revision: number): RevisionEntry {
  try {
    const entry = JSON.parse(Buffer.from(value).toString()) as RevisionEntry;
    const { id, author, reason, publishedMs, changes, resources, settings } = entry;
    const good =
      entry.revision === revision &&
      [id, author, reason].every((one) => typeof one === "string") &&
      Number.isFinite(publishedMs) &&
      isTexts(changes) &&
      [resources, settings].every(isKept);
    if (good) return { revision, id, author, reason, publishedMs, changes, resources, settings };
  } catch {
    // Said below.
  }
  throw unusable(`revision ${revision}`);
}

/** What is in the store is none of this version's. */
export function unusable(what: string): WeftError {
  const text = `${what} cannot be read from the store; it was written by a newer version, or damaged`;
  return new WeftError("data_loss", text, { reason: "STORE_UNREADABLE" });
}

function isKept({ packed, chunks }: KeptText): boolean {
  if (chunks === undefined) return typeof packed === "string";
  return (
    packed === undefined && isTexts(chunks) && chunks.length > 0 && chunks.every((one) => /^[0-9a-f]{64}$/.test(one))
  );
}

function isTexts(given: unknown): given is readonly string[] {
  return Array.isArray(given) && given.every((one) => typeof one === "string");
}
