import { fieldOf } from "../../core/fields.ts";
import { type CacheDirectives, responseDirectives } from "./cache-control.ts";
import type { Freshness } from "./freshness.ts";
import { storedFields } from "./storable.ts";

/** One response in the cache: a variant of its URI. */
export class StoredResponse {
  /** scheme://authority/path?query */
  readonly uri: string;
  /** What else tells answers for one URI apart: the route, the policy's key fields. */
  readonly scope: string;
  readonly vary: readonly string[];
  /** The values of `vary` in the request that it answered. */
  readonly varyValues: readonly string[];
  readonly status: number;
  fields: readonly string[];
  readonly body: Uint8Array;
  directives: CacheDirectives;
  etag: string | undefined;
  lastModified: string | undefined;
  freshness: Freshness;
  /** On the clock of events. */
  receivedAt: number;
  /** What it takes in the store. */
  bytes: number;
  // the store's list
  newer: StoredResponse | null = null;
  older: StoredResponse | null = null;
  visited = false;
  /** It is in the store. */
  held = false;

  constructor(head: StoredHead, body: Uint8Array) {
    this.uri = head.uri;
    this.scope = head.scope;
    this.vary = head.vary;
    this.varyValues = head.varyValues;
    this.status = head.status;
    this.fields = head.fields;
    this.directives = head.directives;
    this.freshness = head.freshness;
    this.receivedAt = head.receivedAt;
    this.body = body;
    this.etag = fieldOf(head.fields, "etag");
    this.lastModified = fieldOf(head.fields, "last-modified");
    this.bytes = headBytes(head) + body.length;
  }

  ageMs(now: number): number {
    return this.freshness.initialAgeMs + Math.max(0, now - this.receivedAt);
  }

  /** Above 0 while fresh. */
  freshForMs(now: number): number {
    return this.freshness.lifetimeMs - this.ageMs(now);
  }

  /** Whether it may be used when it is too old, by anybody's leave (RFC 9111 section 4.2.4). */
  get mayBeStale(): boolean {
    const { mustRevalidate, proxyRevalidate, noCache, sMaxAge } = this.directives;
    return !mustRevalidate && !proxyRevalidate && !noCache && sMaxAge < 0;
  }

  /** A 304 with these fields vouches for it (section 4.3.4): its fields are taken over, and it is as new. */
  freshen(
    fields: readonly string[],
    fresh: (directives: CacheDirectives, all: readonly string[]) => Freshness,
    now: number,
  ): void {
    const own = responseDirectives(fields);
    const news = storedFields(fields, own);
    const replaced = new Set<string>();
    for (let i = 0; i < news.length; i += 2) if (!OF_THE_BODY.has(news[i])) replaced.add(news[i]);
    const kept: string[] = [];
    for (let i = 0; i < this.fields.length; i += 2) {
      if (!replaced.has(this.fields[i])) kept.push(this.fields[i], this.fields[i + 1]);
    }
    for (let i = 0; i < news.length; i += 2) if (replaced.has(news[i])) kept.push(news[i], news[i + 1]);
    this.fields = kept;
    this.directives = responseDirectives(kept);
    this.etag = fieldOf(kept, "etag");
    this.lastModified = fieldOf(kept, "last-modified");
    this.freshness = fresh(this.directives, ageKept(kept, fields));
    this.receivedAt = now;
  }
}

/** What is known of a response before its body. */
export interface StoredHead {
  readonly uri: string;
  readonly scope: string;
  readonly vary: readonly string[];
  readonly varyValues: readonly string[];
  readonly status: number;
  readonly fields: readonly string[];
  readonly directives: CacheDirectives;
  readonly freshness: Freshness;
  readonly receivedAt: number;
}

/** Roughly what strings and objects of an entry take, two bytes a character at the worst. */
export function headBytes({ uri, scope, fields, varyValues }: StoredHead): number {
  let characters = uri.length + scope.length;
  for (const text of fields) characters += text.length;
  for (const text of varyValues) characters += text.length;
  return ENTRY_BYTES + 2 * characters;
}

/** The freshened fields, with the Age of the 304 for the age's calculation. */
function ageKept(kept: readonly string[], fields: readonly string[]): readonly string[] {
  const age = fieldOf(fields, "age");
  return age === undefined ? kept : [...kept, "age", age];
}

/** They describe the stored body, which a 304 does not bring (RFC 9111 section 3.2). */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
]);
const ENTRY_BYTES = 512;
