import { fieldOf } from "../../core/fields.ts";
import { isServerFault } from "../../core/grpc-status.ts";
import type { DecisionStep, LocalResponse } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import { bindingAhead } from "../machine/backend-choice.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import type { RequestFacts } from "../machine/request-facts.ts";
import { sameField } from "../machine/same-field.ts";
import { hasField } from "../resource/header-match.ts";
import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import { CacheCall, keyOf, mayReplaceError, requestDirectives, Use, useOf } from "./cache-call.ts";
import { NO_DIRECTIVES } from "./cache-control.ts";
import { scopeOf, uriOf } from "./cache-key.ts";
import { Did, describeCacheNote } from "./cache-note.ts";
import { type CacheStore, Fetch } from "./cache-store.ts";
import { isServerError } from "./storable.ts";
import { storedAnswer, withRule } from "./stored-answer.ts";
import type { StoredResponse } from "./stored-response.ts";
import { freshen, invalidate, takeIn } from "./take-in.ts";

/** The cache of a plan's backends. At the gateway alone: nearer the service nothing is saved, nearer the caller it is not shared. */
export function cacheGates({ place, policies, keeper }: GateContext): Gate[] {
  if (place !== "gateway" || policies.every(({ cache }) => cache === null)) return [];
  return [
    new CacheGate(
      policies,
      policies.map(({ cache, sources }) =>
        cache === null ? null : keeper.caches.of(sources.cache ?? "", cache.maxBytes),
      ),
    ),
  ];
}

/**
 * A shared cache by RFC 9111, with stale-while-revalidate and stale-if-error (RFC 5861), one fetch for requests that come together, and Cache-Status (RFC 9211).
 * Its notes: cache-note.ts.
 *
 *     enter    fresh -------------------------------------------> respond
 *              stale, allowed (max-stale, stale-while-revalidate) -> respond, and fetch anew beside it
 *              another call fetches it -> wait -> look again
 *              stale -> with If-None-Match, If-Modified-Since -> pass
 *              nothing -> pass
 *     headed   304 to our validators -> freshen -> respond       5xx, stale-if-error -> respond the stale one
 *              storable -> pass, and take the body in            unsafe method, no error -> invalidate
 *     failing  stale-if-error, or a fallback that says stale -> respond the stale one
 *
 *     K1  Nothing is answered that RFC 9111 section 4 forbids to be reused for the request.
 *     K2  What it answers was received whole.
 *     K3  Calls wait for another's fetch at most `collapse`, and each wait ends when that fetch does.
 */
class CacheGate implements Gate {
  readonly rule = "cache";
  readonly source: string;
  /** A refresh, which has no caller, passes no other gate again. */
  readonly refreshes = true;
  readonly #policies: readonly EffectivePolicy[];
  readonly #stores: readonly (CacheStore | null)[];
  readonly #alike: boolean;

  constructor(policies: readonly EffectivePolicy[], stores: readonly (CacheStore | null)[]) {
    this.#policies = policies;
    this.#stores = stores;
    this.#alike = sameField(policies, "cache");
    this.source = policies.find(({ cache }) => cache !== null)?.sources.cache ?? "";
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    const binding = this.#alike ? null : bindingAhead(call);
    const at = binding === null ? 0 : (call.plan as Plan).bindings.indexOf(binding);
    const settings = this.#policies[at]?.cache ?? null;
    const store = this.#stores[at] ?? null;
    const facts = call.facts as RequestFacts;
    const { asSent, refresh } = call.caller;
    if (settings === null || store === null || facts.session || (facts.grpc && asSent === null)) return GateAnswer.pass;
    const { method, fields } = asSent ?? call.request;
    if (SAFE_UNCACHED.has(method)) return GateAnswer.pass;
    const scope = scopeOf(call, binding?.name ?? "", settings);
    const personal =
      fieldOf(fields, "authorization") !== undefined || call.principal.method !== "" || toldOfUser(call.requestAdd);
    const directives = settings.obeyCallers ? requestDirectives(fields) : NO_DIRECTIVES;
    const kept = new CacheCall(store, settings, uriOf(call, settings), scope, directives, personal, now);
    if (!ANSWERED.has(method)) {
      call.memory[slot] = kept;
      return GateAnswer.pass; // headed() invalidates
    }
    if (!settings.methods.includes(method) || (call.bodyFollows && asSent === null))
      return this.#bypass(call, store, "method");
    for (const name of OTHER_METHOD)
      if (fieldOf(fields, name) !== undefined) return this.#bypass(call, store, "method");
    for (const match of settings.bypass) if (hasField(fields, match)) return this.#bypass(call, store, "bypass");
    // RFC 9111 section 4.3.2: these are for the service alone.
    if (fieldOf(fields, "if-match") !== undefined || fieldOf(fields, "if-unmodified-since") !== undefined) {
      return this.#bypass(call, store, "request");
    }
    call.memory[slot] = kept;
    return refresh === true ? this.#refresh(call, kept, now) : this.#look(call, kept, false, now);
  }

  resumed(call: CallState, slot: number, now: number): GateAnswer {
    const kept = call.memory[slot] as CacheCall;
    const { waitsFor } = kept;
    waitsFor?.leave(call);
    kept.waitsFor = null;
    if (waitsFor?.outcome === "shared") kept.store.counts.collapsed++;
    return this.#look(call, kept, waitsFor !== null, now, waitsFor);
  }

  headed(
    call: CallState,
    slot: number,
    status: number,
    grpcStatus: number,
    fields: readonly string[],
    now: number,
  ): GateAnswer {
    const kept = call.memory[slot] as CacheCall | undefined;
    if (kept === undefined) return GateAnswer.pass;
    const { asSent } = call.caller;
    const { method } = asSent ?? call.request;
    const { store, stale } = kept;
    if (!ANSWERED.has(method)) {
      if (status >= 200 && status < 400) {
        const removed = invalidate(kept, fields);
        if (removed > 0) this.#note(call, Did.invalidated, removed, 0, "");
      }
      return GateAnswer.pass;
    }
    const failed = grpcStatus > 0;
    if (status === 304 && kept.conditional) {
      if (stale !== null) freshen(call, kept, stale, fields, now);
      return this.#answer(call, kept, stale, Did.revalidated, `fwd=${kept.forward}; fwd-status=304`, now);
    }
    if (isServerError(status) || isServerFault(grpcStatus)) {
      const replaced = stale !== null && mayReplaceError(call, kept, stale, status, now);
      if (call.tape.read(replaced ? 1 : 0) === 1) {
        kept.fetch?.settle("failed", store);
        return this.#answer(call, kept, stale, Did.staleForError, `fwd=${kept.forward}; fwd-status=${status}`, now);
      }
    }
    const why = method !== "GET" ? "HEAD" : failed ? "error" : takeIn(call, kept, status, fields, now);
    if (why !== "") {
      if (kept.fetch !== null) {
        if (why !== "error" && status !== 304) store.markUnshared(kept.fetch.key, now);
        kept.fetch.settle(why === "error" ? "failed" : "unshared", store);
      }
      // It is not what the service answers now (section 4.3.3).
      if (stale !== null && method === "GET" && !failed && replacesStored(status)) store.remove(stale);
    }
    this.#status(call, `fwd=${kept.forward}; fwd-status=${status}${why === "" ? "; stored" : ""}`);
    return GateAnswer.pass;
  }

  failing(call: CallState, slot: number, now: number): GateAnswer {
    const kept = call.memory[slot] as CacheCall | undefined;
    if (kept === undefined || !ANSWERED.has((call.caller.asSent ?? call.request).method)) return GateAnswer.pass;
    const { stale } = kept;
    const replaced = stale !== null && mayReplaceError(call, kept, stale, call.failure?.status ?? 503, now);
    if (call.tape.read(replaced ? 1 : 0) !== 1) return GateAnswer.pass;
    kept.fetch?.settle("failed", kept.store);
    return this.#answer(call, kept, stale, Did.staleForError, `fwd=${kept.forward}; detail=failed`, now);
  }

  left(call: CallState, slot: number): void {
    const kept = call.memory[slot] as CacheCall | undefined;
    if (kept === undefined) return;
    kept.waitsFor?.leave(call);
    if (kept.writer !== null) {
      if (!call.committed) kept.writer.abort(); // the shell never heard of it
    } else kept.fetch?.settle("gone", kept.store);
  }

  // --- enter --------------------------------------------------------------------------------------------------

  /** `waited`: another call's fetch, `of`, has ended, or the time to wait for it. */
  #look(call: CallState, kept: CacheCall, waited: boolean, now: number, of: Fetch | null = null): GateAnswer {
    const { store, directives } = kept;
    const stored = this.#find(call, kept);
    const { asSent } = call.caller;
    // A refresh is nobody's: what comes of somebody's request could be theirs alone.
    const refreshable = asSent === null && call.request.method === "GET" && !kept.personal;
    const use = call.tape.read(stored === null ? Use.none : useOf(stored, kept, refreshable, now));
    const refreshing = use === Use.refresh && store.openFetch(keyOf(kept), REFRESH_MS, now) !== undefined;
    if (use === Use.refresh && !refreshing) call.refresh = true;
    const asked = stored !== null && (directives.noCache || stored.freshForMs(now) > 0);
    const known = stored !== null ? (asked ? "request" : "stale") : store.hasUri(kept.uri) ? "vary-miss" : "uri-miss";
    kept.forward = call.tape.keep(known);
    if (use === Use.fresh || use === Use.stale || use === Use.refresh) {
      const status = waited ? `fwd=${kept.forward}; collapsed` : "hit";
      return this.#answer(call, kept, stored, use === Use.fresh ? Did.fresh : Did.stale, status, now);
    }
    kept.stale = stored;
    const covered = of?.outcome === "failed" && stored !== null && mayReplaceError(call, kept, stored, 503, now);
    if (call.tape.read(covered ? 1 : 0) === 1) {
      return this.#answer(call, kept, stored, Did.staleForError, `fwd=${kept.forward}; collapsed`, now);
    }
    if (directives.onlyIfCached) {
      this.#note(call, Did.onlyIfCached, 0, 0, "");
      const message = "the caller wants an answer from the cache only, which has none";
      call.response = errorAnswer("unavailable", 504, "NOT_CACHED", message);
      this.#status(call, `fwd=${kept.forward}`);
      return GateAnswer.respond;
    }
    if (call.tape.read(this.#join(call, kept, waited, of, now) ? 1 : 0) === 1) {
      call.waitMs = Math.max(0, kept.waitUntil - now);
      return GateAnswer.wait;
    }
    store.counts.misses++;
    this.#note(call, Did.passed, 0, 0, kept.forward);
    this.#validate(call, kept);
    return GateAnswer.pass;
  }

  #find(call: CallState, { store, uri, scope, personal }: CacheCall): StoredResponse | null {
    const stored = store.find(uri, scope, call);
    if (stored === null || !personal) return stored;
    const { isPublic, mustRevalidate, sMaxAge } = stored.directives;
    return isPublic || mustRevalidate || sMaxAge >= 0 ? stored : null; // section 3.5
  }

  /** Whether to wait for another call's fetch; if not, and it makes sense, this call's is the one that others wait for. */
  #join(call: CallState, kept: CacheCall, waited: boolean, of: Fetch | null, now: number): boolean {
    const { store, settings, directives } = kept;
    const { method, fields } = call.caller.asSent ?? call.request;
    if (settings.collapseMs === 0 || method !== "GET" || directives.noCache || fieldOf(fields, "range") !== undefined)
      return false;
    const late = now >= kept.waitUntil;
    if (waited && of?.outcome !== "gone" && !(late && of?.outcome === "open")) return false;
    const key = keyOf(kept);
    if (store.isUnshared(key, now)) return false;
    const open = store.openFetch(key, settings.collapseMs, now);
    if (open === undefined) {
      if (store.fetches.size >= MAX_FETCHES) return false;
      kept.fetch = new Fetch(key, now);
      store.fetches.set(key, kept.fetch);
      return false;
    }
    if (open.waiting.length >= MAX_WAITING || (waited && late)) return false;
    if (!waited) kept.waitUntil = open.begunAt + settings.collapseMs;
    open.waiting.push(call);
    kept.waitsFor = open;
    return true;
  }

  /** Lets the service say that what is stored still holds (section 4.3.1). A transcoded call's service cannot: its answer becomes REST here. */
  #validate(call: CallState, kept: CacheCall): void {
    const { stale } = kept;
    const { asSent } = call.caller;
    const { fields } = asSent ?? call.request;
    const known = stale !== null && (stale.etag !== undefined || stale.lastModified !== undefined);
    const conditional = known && asSent === null && fieldOf(fields, "range") === undefined;
    kept.conditional = call.tape.read(conditional ? 1 : 0) === 1;
    if (stale === null || !kept.conditional) return;
    for (const name of CONDITIONS) if (fieldOf(fields, name) !== undefined) call.removeRequestField(name);
    if (stale.etag !== undefined) call.addRequestField("if-none-match", stale.etag);
    if (stale.lastModified !== undefined) call.addRequestField("if-modified-since", stale.lastModified);
  }

  /** The call was begun for the cache's sake. */
  #refresh(call: CallState, kept: CacheCall, now: number): GateAnswer {
    const key = keyOf(kept);
    kept.stale = this.#find(call, kept);
    kept.forward = "stale";
    for (const name of [...CONDITIONS, "range", "if-range", "cache-control", "pragma"]) call.removeRequestField(name);
    if (kept.store.openFetch(key, REFRESH_MS, now) === undefined) {
      kept.fetch = new Fetch(key, now);
      kept.store.fetches.set(key, kept.fetch);
    }
    this.#note(call, Did.passed, 0, 0, "refresh");
    this.#validate(call, kept);
    return GateAnswer.pass;
  }

  #bypass(call: CallState, store: CacheStore, why: string): GateAnswer {
    store.counts.bypassed++;
    this.#status(call, `fwd=${why}`);
    this.#note(call, Did.passed, 0, 0, why);
    return GateAnswer.pass;
  }

  // --- answers ------------------------------------------------------------------------------------------------

  /** `stored` is null when a record is replayed: its status, which is there, says enough. */
  #answer(
    call: CallState,
    kept: CacheCall,
    stored: StoredResponse | null,
    code: number,
    status: string,
    now: number,
  ): GateAnswer {
    const { tape } = call;
    const { method, fields } = call.caller.asSent ?? call.request;
    const { counts } = kept.store;
    if (code === Did.fresh) counts.hits++;
    else if (code !== Did.revalidated) counts.staleHits++;
    const answer = stored === null ? NOTHING : storedAnswer(stored, method, fields, now, call.shared.wallAt);
    const ageMs = tape.read(stored?.ageMs(now) ?? 0);
    const freshForMs = tape.read(stored?.freshForMs(now) ?? 0);
    const answered = tape.read(answer.status);
    this.#note(call, code, ageMs, freshForMs, kept.forward);
    this.#status(call, status === "hit" ? `hit; ttl=${Math.floor(freshForMs / 1000)}` : status);
    call.response = withRule(
      answered === answer.status ? answer : { ...answer, status: answered },
      (call.plan as Plan).rule,
    );
    return GateAnswer.respond;
  }

  #status(call: CallState, status: string): void {
    call.addResponseField("cache-status", `weft; ${status}`);
  }

  // --- record -------------------------------------------------------------------------------------------------

  #note(call: CallState, code: number, a: number, b: number, text: string): void {
    const note = call.decision.note(
      this,
      code === Did.onlyIfCached ? "denied" : code === Did.passed || code === Did.invalidated ? "ok" : "chosen",
    );
    note.code = code;
    note.a = a;
    note.b = b;
    note.text = text;
  }

  describe(note: GateNote): Pick<DecisionStep, "text" | "values"> {
    return describeCacheNote(note);
  }

  nearest({ code }: GateNote): string {
    return code === Did.onlyIfCached ? "would have been sent on without only-if-cached" : "";
  }
}

/** Whether a gate has told the service more than the caller said and weft's own fields: who the user is, as an external check found. */
function toldOfUser(added: readonly string[] | null): boolean {
  if (added === null) return false;
  for (let i = 0; i < added.length; i += 2) if (!added[i].startsWith("x-weft-")) return true;
  return false;
}

/** Whether an answer says that what is stored is not what there is any more. */
function replacesStored(status: number): boolean {
  return (status >= 200 && status < 400 && status !== 206 && status !== 304) || status === 404 || status === 410;
}

/** Methods that may be answered from a store. */
const ANSWERED: ReadonlySet<string> = new Set(["GET", "HEAD"]);
/** Safe, and neither stored nor invalidating. */
const SAFE_UNCACHED: ReadonlySet<string> = new Set(["OPTIONS", "TRACE", "CONNECT"]);
/** By these some services let a GET mean another method. */
const OTHER_METHOD = ["x-http-method-override", "x-http-method", "x-method-override"];
const CONDITIONS = ["if-none-match", "if-modified-since"];
const NOTHING: LocalResponse = { error: null, status: 200, fields: [], body: null };
/** After which a refresh that is under way does not keep another from being made. */
const REFRESH_MS = 10_000;
/** Fetches that others can wait for at once, and calls that wait for one. */
const MAX_FETCHES = 10_000;
const MAX_WAITING = 1_000;
