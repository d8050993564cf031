import { fieldOf } from "../../core/fields.ts";
import type { CallState } from "../machine/call-state.ts";
import type { CacheCall } from "./cache-call.ts";
import { responseDirectives } from "./cache-control.ts";
import { namedUris } from "./cache-key.ts";
import { CacheWriter } from "./cache-writer.ts";
import { freshnessOf } from "./freshness.ts";
import { formatHttpDate } from "./http-date.ts";
import { isServerError, storedFields, varyNames, whyNotStored } from "./storable.ts";
import { headBytes, type StoredResponse } from "./stored-response.ts";
import { variantValue } from "./variant-value.ts";

/* What an answer of the service changes in the store. */

/** Takes the response in; "" when it does, otherwise why not. */
export function takeIn(
  call: CallState,
  kept: CacheCall,
  status: number,
  fields: readonly string[],
  now: number,
): string {
  const { store, settings, personal, uri, scope } = kept;
  if (kept.directives.noStore) return "request";
  const directives = responseDirectives(fields);
  const asked = (call.caller.asSent ?? call.request).fields;
  const hasCookie = fieldOf(asked, "cookie") !== undefined;
  const why = whyNotStored(status, directives, fields, personal, settings.defaultTtlMs > 0, hasCookie);
  if (why !== "") return isServerError(status) ? "error" : why;
  const { wallAt } = call.shared;
  const freshness = freshnessOf(status, directives, fields, sentAt(call, kept), now, wallAt, settings.defaultTtlMs);
  const vary = varyNames(fields);
  const own = storedFields(fields, directives);
  if (fieldOf(own, "date") === undefined) own.push("date", formatHttpDate(freshness.dateMs));
  const declared = call.caller.asSent !== null ? -1 : Number(fieldOf(fields, "content-length") ?? -1);
  if (declared > settings.maxEntryBytes) return "size";
  const head = {
    uri,
    scope,
    vary,
    varyValues: vary.map((name) => variantValue(call, name)),
    status,
    fields: own,
    directives,
    freshness,
    receivedAt: now,
  };
  // A gRPC head says nothing of the REST answer that is made of it, but what its metadata says about caching.
  kept.writer = new CacheWriter(store, head, settings.maxEntryBytes, kept.fetch, declared);
  call.store = kept.writer;
  return "";
}

/** The service says that what is stored still holds (section 4.3.4). */
export function freshen(
  call: CallState,
  kept: CacheCall,
  stale: StoredResponse,
  fields: readonly string[],
  now: number,
): void {
  const { store, settings } = kept;
  const tag = fieldOf(fields, "etag");
  if (tag !== undefined && !tag.startsWith("W/") && tag !== stale.etag) {
    // The service vouches for something else than what it was asked about: this answer is the last of the stored one (section 4.3.4).
    store.remove(stale);
    kept.fetch?.settle("unshared", store);
    return;
  }
  const askedAt = sentAt(call, kept);
  const { wallAt } = call.shared;
  if (fieldOf(fields, "date") === undefined) fields = [...fields, "date", formatHttpDate(now + wallAt)];
  stale.freshen(
    fields,
    (directives, all) => freshnessOf(stale.status, directives, all, askedAt, now, wallAt, settings.defaultTtlMs),
    now,
  );
  store.counts.revalidated++;
  store.resize(stale, headBytes(stale) + stale.body.length);
  kept.fetch?.settle("shared", store);
}

function sentAt({ decision }: CallState, kept: CacheCall): number {
  return decision.attempts.at(-1)?.startedAt ?? kept.enteredAt;
}

/** After a change that an unsafe method made (section 4.4). How many were removed. */
export function invalidate({ store, uri }: CacheCall, fields: readonly string[]): number {
  let removed = store.invalidate(uri);
  for (const named of namedUris(uri, fields)) removed += store.invalidate(named);
  store.counts.invalidated += removed;
  return removed;
}
