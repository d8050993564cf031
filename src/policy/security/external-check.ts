import type { LocalResponse } from "../call.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { durationMs } from "../resource/duration.ts";
import { normalPath } from "../route/normal-path.ts";
import type { StateKeeper } from "../snapshot/state-keeper.ts";
import type { ExternalSpec } from "./authorization-resource.ts";
import { type CompiledRule, ruleMatches } from "./authorization-rule.ts";
import { digestOf } from "./provider.ts";
import type { ExternalAnswer, ExternalQuestion } from "./questions.ts";
import type { RuleInput } from "./rule-input.ts";
import { stripFields } from "./strip.ts";
import type { VerifiedCache } from "./verified-cache.ts";

/**
 * Asks a service whether a call may be made, with the semantics of Envoy's ext_authz filter: the service sees method, path and chosen fields; it allows or answers in
 * its own words. Differences: a time-out or failure denies with 403 unless `fail: open`; answers may be remembered (`cacheFor`).
 */
export class ExternalCheck {
  readonly compiled: CompiledRule;
  readonly failOpen: boolean;
  readonly #spec: ExternalSpec;
  readonly #timeoutMs: number;
  readonly #cacheMs: number;
  readonly #sends: ReadonlySet<string>;
  readonly #upstream: ReadonlySet<string>;
  readonly #downstream: ReadonlySet<string>;
  readonly #answers: VerifiedCache<ExternalAnswer>;

  constructor(compiled: CompiledRule, keeper: StateKeeper) {
    const spec = compiled.rule.external as ExternalSpec;
    this.compiled = compiled;
    this.#spec = spec;
    this.failOpen = spec.fail === "open";
    this.#timeoutMs = durationMs(spec.timeout ?? "200ms");
    this.#cacheMs = durationMs(spec.cacheFor ?? "0s");
    this.#sends = names(spec.sendHeaders ?? ["authorization", "cookie"]);
    this.#upstream = names(spec.upstreamHeaders ?? []);
    this.#downstream = names(spec.downstreamHeaders ?? ["www-authenticate", "location", "set-cookie"]);
    this.#answers = keeper.externalAnswers(`${compiled.label} ${JSON.stringify(spec)}`);
  }

  /** Takes out what only the service may say, whether it is asked or not and whatever it answers. */
  strip(call: CallState): void {
    if (this.#upstream.size === 0) return;
    stripFields(call, this.#upstream);
    call.vouchFor([...this.#upstream]);
  }

  /** Null: the rule does not match. "ask": `call.query` is set. Otherwise what is remembered. */
  begin(call: CallState, input: RuleInput, now: number): ExternalAnswer | "ask" | null {
    if (!ruleMatches(this.compiled, input)) return null;
    const recalled = this.#cacheMs > 0 ? (call.tape.recall(TAPED) as Taped | undefined) : undefined;
    const about = this.#question(call, input);
    const key = this.#keyOf(about);
    if (this.#cacheMs > 0) {
      const known = recalled === undefined ? this.#answers.get(key, now) : recalled.asks ? null : answerOf(recalled);
      call.tape.tell(TAPED, (known === null ? { asks: true } : tapedOf(known)) satisfies Taped);
      if (known !== null) return known;
    }
    call.query = { kind: "external-authorization", key: `${this.compiled.label} ${key}`, about };
    call.queryMs = this.#timeoutMs;
    return "ask";
  }

  answered(call: CallState, answer: ExternalAnswer | null, now: number): ExternalAnswer | null {
    if (answer !== null && this.#cacheMs > 0) {
      this.#answers.set(this.#keyOf(call.query?.about as ExternalQuestion), answer, now + this.#cacheMs);
    }
    return answer;
  }

  /** What the service says that the request shall have; only fields that the policy names. */
  changeRequest(call: CallState, { fields, removeFields }: ExternalAnswer): void {
    for (const name of removeFields) if (!name.startsWith(":") && name !== "host") call.removeRequestField(name);
    for (let i = 0; i < fields.length; i += 2) {
      if (this.#upstream.has(fields[i])) call.addRequestField(fields[i], fields[i + 1]);
    }
  }

  refusal({ status, fields, body, message }: ExternalAnswer): LocalResponse {
    const told: string[] = [];
    for (let i = 0; i < fields.length; i += 2) if (this.#downstream.has(fields[i])) told.push(fields[i], fields[i + 1]);
    if (status >= 300 && status < 400) return { error: null, status, fields: told, body };
    const answer =
      status === 401
        ? errorAnswer("unauthenticated", 401, "AUTHENTICATION_REQUIRED", message || "authentication is required")
        : errorAnswer("permission_denied", status, "FORBIDDEN", message || `refused by ${this.compiled.label}`);
    if (body !== null && body.length > 0) {
      const type = fields.findIndex((name, i) => i % 2 === 0 && name === "content-type");
      told.push("content-type", type < 0 ? "text/plain; charset=utf-8" : fields[type + 1]);
    }
    return { ...answer, fields: told, body: body !== null && body.length > 0 ? body : null };
  }

  #question(call: CallState, input: RuleInput): ExternalQuestion {
    const { request, caller, principal } = input;
    const fields: string[] = [];
    for (let i = 0; i < request.fields.length; i += 2) {
      if (this.#sends.has(request.fields[i])) fields.push(request.fields[i], request.fields[i + 1]);
    }
    return {
      external: this.#spec,
      timeoutMs: this.#timeoutMs,
      method: request.method,
      scheme: request.scheme,
      host: request.authority,
      path: normalTarget(request.path),
      fields,
      peerAddress: caller.peerAddress,
      peerIdentity: caller.peerIdentity,
      requestId: caller.requestId,
      service: call.facts?.service || input.services.join(","),
      subject: principal.subject,
    };
  }

  /** Everything that the service sees but the request's id and the peer's port. */
  #keyOf({
    method,
    scheme,
    host,
    path,
    fields,
    peerAddress,
    peerIdentity,
    service,
    subject,
    requestId,
  }: ExternalQuestion): string {
    const address = peerAddress.replace(/:\d+$/, "");
    const seen = JSON.stringify([method, scheme, host, path, fields, address, peerIdentity, service, subject]);
    return digestOf(this.#cacheMs > 0 ? seen : `${seen} ${requestId}`);
  }
}

/** The service judges the path that routes and rules see: it is not to let "/public/../admin" pass for what is public. */
function normalTarget(path: string): string {
  const mark = path.indexOf("?");
  return mark < 0 ? normalPath(path) : normalPath(path.slice(0, mark)) + path.slice(mark);
}

/** What recordings hold of an answer that was remembered. */
interface Taped {
  readonly asks?: boolean;
  readonly allowed?: boolean;
  readonly status?: number;
}

const TAPED = "external";

function tapedOf({ allowed, status }: ExternalAnswer): Taped {
  return { allowed, status };
}

function answerOf({ allowed = false, status = 403 }: Taped): ExternalAnswer {
  return { allowed, status, fields: [], removeFields: [], body: null, message: "" };
}

function names(fields: readonly string[]): ReadonlySet<string> {
  return new Set(fields.map((name) => name.toLowerCase()));
}
