import { fieldOf } from "../../core/fields.ts";
import type { CallState } from "../machine/call-state.ts";
import { type CacheDirectives, NO_DIRECTIVES, parseCacheControl } from "./cache-control.ts";
import type { CacheSettings } from "./cache-field.ts";
import type { CacheStore, Fetch } from "./cache-store.ts";
import type { CacheWriter } from "./cache-writer.ts";
import type { StoredResponse } from "./stored-response.ts";

/** One call at the cache. */
export class CacheCall {
  readonly store: CacheStore;
  readonly settings: CacheSettings;
  readonly uri: string;
  readonly scope: string;
  readonly directives: CacheDirectives;
  /** Somebody's: Authorization, or an authenticated user. */
  readonly personal: boolean;
  /** What is there but has to be asked for again. */
  stale: StoredResponse | null = null;
  /** The request carries the stale one's validators. */
  conditional = false;
  fetch: Fetch | null = null;
  waitsFor: Fetch | null = null;
  waitUntil = 0;
  enteredAt: number;
  /** The word of RFC 9211 for why the request goes on. */
  forward = "uri-miss";
  writer: CacheWriter | null = null;

  constructor(
    store: CacheStore,
    settings: CacheSettings,
    uri: string,
    scope: string,
    directives: CacheDirectives,
    personal: boolean,
    now: number,
  ) {
    this.store = store;
    this.settings = settings;
    this.uri = uri;
    this.scope = scope;
    this.directives = directives;
    this.personal = personal;
    this.enteredAt = now;
  }
}

/** What may be done with what is stored. */
export const Use = { none: 0, fresh: 1, stale: 2, refresh: 3, validate: 4 } as const;
export type Use = (typeof Use)[keyof typeof Use];

/** What may be done with what is stored: RFC 9111 section 4, with the caller's directives (section 5.2.1) and those of RFC 5861. */
export function useOf(
  stored: StoredResponse,
  { directives, settings }: CacheCall,
  refreshable: boolean,
  now: number,
): Use {
  const ageMs = stored.ageMs(now);
  const freshForMs = stored.freshForMs(now);
  if (directives.noCache || stored.directives.noCache) return Use.validate;
  if (directives.maxAge >= 0 && ageMs > directives.maxAge * 1000) return Use.validate;
  if (freshForMs > 0)
    return directives.minFresh >= 0 && freshForMs < directives.minFresh * 1000 ? Use.validate : Use.fresh;
  if (!stored.mayBeStale || directives.minFresh >= 0) return Use.validate;
  if (directives.maxStale >= 0 && -freshForMs <= directives.maxStale * 1000) return Use.stale;
  const whileMs = Math.max(settings.staleWhileRevalidateMs, stored.directives.staleWhileRevalidate * 1000);
  return refreshable && directives.maxAge < 0 && -freshForMs < whileMs ? Use.refresh : Use.validate;
}

/** stale-if-error: the response's own, the policy's, or a fallback that says so. Never what must be revalidated. */
export function mayReplaceError(
  call: CallState,
  { settings, directives }: CacheCall,
  stale: StoredResponse,
  status: number,
  now: number,
): boolean {
  if (!stale.mayBeStale || directives.noCache) return false;
  const pastMs = -stale.freshForMs(now);
  const { fallback } = call;
  if (fallback?.stale === true && (call.failure !== null || fallback.on.hasAnswer(status, -1))) return true;
  const errorMs = Math.max(settings.staleIfErrorMs, stale.directives.staleIfError * 1000);
  return errorMs > 0 && pastMs <= errorMs;
}

/** Pragma: no-cache counts where there is no Cache-Control (section 5.4). */
export function requestDirectives(fields: readonly string[]): CacheDirectives {
  const directives = parseCacheControl(fields);
  if (directives !== NO_DIRECTIVES) return directives;
  const pragma = fieldOf(fields, "pragma");
  return pragma !== undefined && /(?:^|[,\s])no-cache(?:$|[,\s])/i.test(pragma)
    ? { ...NO_DIRECTIVES, noCache: true }
    : NO_DIRECTIVES;
}

/** What calls that wait for one fetch have in common. */
export function keyOf({ uri, scope }: CacheCall): string {
  return `${uri}\n${scope}`;
}
