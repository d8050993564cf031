import type { DecisionStep } from "../call.ts";
import type { GateNote } from "../decision/gate-note.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CallState } from "../machine/call-state.ts";
import { type Gate, GateAnswer } from "../machine/gate.ts";
import type { GateContext } from "../machine/gates.ts";
import type { Principal } from "../machine/principal.ts";
import { claimOf } from "../machine/principal.ts";
import { sentBy } from "../machine/request-values.ts";
import type { Authentication, AuthenticationProvider, ClaimHeader } from "./authentication-resource.ts";
import { claimField, claimText } from "./claims.ts";
import { sha256 } from "./digest.ts";
import { OidcProvider } from "./oidc-provider.ts";
import { type Outcome, type Provider, Question, Refusal, Reply, Verified } from "./provider.ts";
import { createProvider, findProvider } from "./providers.ts";
import { stripFields } from "./strip.ts";
import type { Tallies } from "./tallies.ts";

/** Who is calling, where an Authentication is enforced. The most specific level at which one is attached holds alone. */
export function authenticateGates(context: GateContext): Gate[] {
  const { place } = context;
  if (place !== "gateway" && place !== "server") return [];
  return mostSpecific(context)
    .map((attached) => attached.filter(({ spec }) => (spec.at ?? ["gateway"]).includes(place)))
    .filter((attached) => attached.length > 0)
    .map((attached) => gateOf(attached, context));
}

function gateOf(attached: readonly Authentication[], context: GateContext): Gate {
  const { keeper } = context;
  const tried: Tried[] = [];
  for (const resource of attached) {
    for (const written of resource.spec.providers) {
      const found =
        written.use === undefined
          ? { provider: written, resource }
          : findProvider(written.use, context.all("Authentication"));
      if (found === null) continue; // validation refuses it; without it fewer callers pass
      const { claimHeaders = found.provider.claimHeaders ?? [], forwardToken = found.provider.forwardToken } = written;
      const spec = { ...found.provider, claimHeaders, forwardToken };
      const { name } = found.resource.metadata;
      const key = `${name} ${settingsKey(found.provider)} ${JSON.stringify([claimHeaders, forwardToken])}`;
      tried.push({ provider: keeper.provider(key, () => createProvider(spec, name)), claimHeaders });
    }
  }
  const optional = attached.every(({ spec }) => spec.optional === true);
  const source = attached.map(({ metadata }) => `Authentication ${metadata.name}`).join(", ");
  return new AuthenticateGate(source, tried, optional, keeper.authentications);
}

/** The same for the same settings, in whatever snapshot. Settings may be long (lists of keys), and are written out once. */
function settingsKey(provider: AuthenticationProvider): string {
  let key = SETTINGS.get(provider);
  if (key === undefined) SETTINGS.set(provider, (key = sha256(JSON.stringify(provider), "base64url")));
  return key;
}

const SETTINGS = new WeakMap<AuthenticationProvider, string>();

/** Whether any of these calls' end users is established here. */
export function isAuthenticated(context: Pick<GateContext, "attachedAt" | "services" | "place">): boolean {
  return mostSpecific(context).some((attached) => authenticatedAt(attached, context.place));
}

function authenticatedAt(attached: readonly Authentication[], place: string): boolean {
  return attached.some(({ spec }) => (spec.at ?? ["gateway"]).some((at) => at === place));
}

/**
 * What holds for the calls: of each service that they may go to, all that is attached at the most specific level. Where a rule splits among services that differ, calls
 * have to pass each: which one they go to is decided later.
 */
export function mostSpecific({
  attachedAt,
  services,
}: Pick<GateContext, "attachedAt" | "services">): (readonly Authentication[])[] {
  const sets: (readonly Authentication[])[] = [];
  for (const service of services.length === 0 ? [undefined] : services) {
    const all = attachedAt("Authentication", service);
    const level = Math.max(-1, ...all.map(([at]) => at));
    const set = all.filter(([at]) => at === level).map(([, resource]) => resource);
    if (!sets.some((known) => known.length === set.length && known.every((one) => set.includes(one)))) sets.push(set);
  }
  return sets;
}

interface Tried {
  readonly provider: Provider;
  readonly claimHeaders: readonly ClaimHeader[];
}

/** What the gate keeps of a call that waits for an answer. */
interface Asked {
  readonly at: number;
  readonly question: Question;
  readonly refused: Refusal | null;
  readonly refusedBy: Provider | null;
}

/**
 * Tries its providers in order; the first whose credential is good says who it is. Note: code = what became of it; text = the provider; detail = who, or
 * the refusal's words.
 *
 *     credential good -> principal, claims as fields        none, optional -> nobody
 *     none, required  -> 401 AUTHENTICATION_REQUIRED        wrong -> 401 TOKEN_INVALID       cannot be judged -> 503
 */
class AuthenticateGate implements Gate {
  readonly rule = "authenticate";
  readonly source: string;
  readonly #tried: readonly Tried[];
  readonly #optional: boolean;
  /** Fields that only this gate may say. */
  readonly #claimFields: readonly string[];
  readonly #tallies: Tallies;

  constructor(source: string, tried: readonly Tried[], optional: boolean, tallies: Tallies) {
    this.source = source;
    this.#tried = tried;
    this.#optional = optional;
    this.#claimFields = [
      ...new Set(tried.flatMap(({ claimHeaders }) => claimHeaders.map(({ header }) => header.toLowerCase()))),
    ];
    this.#tallies = tallies;
  }

  enter(call: CallState, slot: number, now: number): GateAnswer {
    if (this.#claimFields.length > 0) {
      stripFields(call, this.#claimFields);
      call.vouchFor(this.#claimFields);
    }
    const recalled = call.tape.recall(TAPED) as Taped | undefined;
    if (recalled !== undefined) return this.#again(call, slot, recalled, now);
    return this.#try(call, slot, 0, null, null, now);
  }

  answered(call: CallState, slot: number, result: unknown, now: number): GateAnswer {
    const recalled = call.tape.recall(TAPED) as Taped | undefined;
    if (recalled !== undefined) return this.#again(call, slot, recalled, now);
    const { at, question, refused, refusedBy } = call.memory[slot] as Asked;
    call.memory[slot] = null;
    return this.#heard(question.answered(result, call, now), call, slot, at, refused, refusedBy, now);
  }

  #try(
    call: CallState,
    slot: number,
    from: number,
    refused: Refusal | null,
    refusedBy: Provider | null,
    now: number,
  ): GateAnswer {
    for (let at = from; at < this.#tried.length; at++) {
      const outcome = this.#tried[at].provider.check(call, now);
      if (outcome === null) continue;
      if (!(outcome instanceof Refusal)) return this.#heard(outcome, call, slot, at, refused, refusedBy, now);
      if (refused === null || outcome.rank > refused.rank) {
        refused = outcome;
        refusedBy = this.#tried[at].provider;
      }
    }
    if (refused !== null) return this.#refuse(call, refused, refusedBy as Provider);
    return this.#anonymous(call, slot, now);
  }

  #heard(
    outcome: Outcome,
    call: CallState,
    slot: number,
    at: number,
    refused: Refusal | null,
    refusedBy: Provider | null,
    now: number,
  ): GateAnswer {
    const { provider } = this.#tried[at];
    if (outcome instanceof Verified) return this.#pass(call, this.#tried[at], outcome);
    if (outcome instanceof Question) {
      call.memory[slot] = { at, question: outcome, refused, refusedBy } satisfies Asked;
      call.query = outcome.query;
      call.queryMs = outcome.timeoutMs;
      call.tape.tell(TAPED, { code: ASKED, ms: outcome.timeoutMs } satisfies Taped);
      return GateAnswer.ask;
    }
    if (outcome instanceof Reply) return this.#reply(call, provider, outcome);
    const worse = refused === null || outcome.rank > refused.rank;
    return this.#try(call, slot, at + 1, worse ? outcome : refused, worse ? provider : refusedBy, now);
  }

  /** The same as then, of a call whose credentials were not recorded. A provider that is no longer asked does not know anybody. */
  #again(call: CallState, slot: number, taped: Taped, now: number): GateAnswer {
    if (taped.code === ASKED) {
      call.query = { kind: "token", key: "", about: null };
      call.queryMs = taped.ms ?? 0;
      return GateAnswer.ask;
    }
    const tried = this.#tried.find(({ provider }) => taped.by?.[provider.label] !== undefined);
    if (tried === undefined) return this.#anonymous(call, slot, now);
    const { provider } = tried;
    const { code, subject = "", issuer = "", claims = {}, problem = "" } = taped;
    if (code === WRONG || code === UNAVAILABLE) {
      return this.#refuse(call, new Refusal(problem, 0, code === UNAVAILABLE), provider);
    }
    if (code === REPLIED) {
      return this.#reply(
        call,
        provider,
        new Reply({ error: null, status: 302, fields: [], body: null }, "sent elsewhere"),
      );
    }
    const source = this.source;
    const principal = { source, method: provider.method, provider: provider.label, subject, issuer, claims };
    return this.#pass(call, tried, new Verified(principal, Number.POSITIVE_INFINITY));
  }

  /**
   * At the server nothing can be taken out of a request: fields of claims are the gateway's word if they say what the credential says, and otherwise
   * somebody else's, who is refused.
   */
  #forged(call: CallState, fields: readonly string[]): string {
    if (call.caller.place !== "server" || this.#claimFields.length === 0) return "";
    const sent = sentBy(call).fields;
    for (let i = 0; i < sent.length; i += 2) {
      if (!this.#claimFields.includes(sent[i])) continue;
      const at = fields.indexOf(sent[i]);
      if (at < 0 || at % 2 === 1 || fields[at + 1] !== sent[i + 1]) return sent[i];
    }
    return "";
  }

  #pass(call: CallState, { provider, claimHeaders }: Tried, verified: Verified): GateAnswer {
    const { principal } = verified;
    if (claimHeaders.length > 0) verified.fields ??= fieldsOf(principal, claimHeaders);
    const forged = this.#forged(call, verified.fields ?? NO_FIELDS);
    if (forged !== "")
      return this.#refuse(call, new Refusal(`its field ${forged} says other than the credential`), provider);
    const { subject, issuer, claims } = principal;
    call.tape.tell(TAPED, { code: KNOWN, by: { [provider.label]: 1 }, subject, issuer, claims } satisfies Taped);
    call.principal = principal;
    if (verified.fields !== null) {
      for (let i = 0; i < verified.fields.length; i += 2)
        call.addRequestField(verified.fields[i], verified.fields[i + 1]);
    }
    provider.strip(call);
    this.#tallies.count(provider.label, "allowed");
    const note = call.decision.note(this, "ok");
    note.code = KNOWN;
    note.text = provider.label;
    note.detail = principal;
    return GateAnswer.pass;
  }

  #reply(call: CallState, provider: Provider, { response, text }: Reply): GateAnswer {
    this.#tallies.count(provider.label, "redirected");
    call.tape.tell(TAPED, { code: REPLIED, by: { [provider.label]: 1 } } satisfies Taped);
    const note = call.decision.note(this, "chosen");
    note.code = REPLIED;
    note.text = provider.label;
    note.detail = text;
    call.response = response;
    return GateAnswer.respond;
  }

  #anonymous(call: CallState, slot: number, now: number): GateAnswer {
    if (this.#optional && this.#forged(call, NO_FIELDS) === "") {
      call.tape.tell(TAPED, { code: NOBODY_CALLS } satisfies Taped);
      const note = call.decision.note(this, "ok");
      note.code = NOBODY_CALLS;
      this.#tallies.count("none", "anonymous");
      return GateAnswer.pass;
    }
    for (let at = 0; at < this.#tried.length; at++) {
      const { provider } = this.#tried[at];
      const login = provider instanceof OidcProvider ? provider.login(call, now) : null;
      if (login !== null) return this.#heard(login, call, slot, at, null, null, now);
    }
    this.#tallies.count("none", "missing");
    call.tape.tell(TAPED, { code: NOBODY_CALLS } satisfies Taped);
    const note = call.decision.note(this, "denied");
    note.code = MISSING;
    const fields = this.#tried.flatMap(({ provider }) => ["www-authenticate", provider.challenge("")]);
    const message = `authentication is required: ${this.#wanted()}`;
    call.response = errorAnswer("unauthenticated", 401, "AUTHENTICATION_REQUIRED", message, false, fields);
    return GateAnswer.respond;
  }

  #refuse(call: CallState, { problem, unavailable }: Refusal, provider: Provider): GateAnswer {
    this.#tallies.count(provider.label, unavailable ? "unavailable" : "refused");
    const code = unavailable ? UNAVAILABLE : WRONG;
    call.tape.tell(TAPED, { code, by: { [provider.label]: 1 }, problem } satisfies Taped);
    const note = call.decision.note(this, "denied");
    note.code = code;
    note.text = provider.label;
    note.detail = problem;
    const message = `${provider.label}: ${problem}`;
    if (unavailable) call.response = errorAnswer("unavailable", 503, "AUTHENTICATION_UNAVAILABLE", message, true);
    else {
      const fields = ["www-authenticate", provider.challenge(problem)];
      call.response = errorAnswer("unauthenticated", 401, "TOKEN_INVALID", message, false, fields);
    }
    return GateAnswer.respond;
  }

  #wanted(): string {
    return this.#tried.map(({ provider }) => provider.wanted).join(", or ");
  }

  describe({ code, text: provider, detail }: GateNote): Pick<DecisionStep, "text" | "values"> {
    switch (code) {
      case KNOWN: {
        const { subject, claims } = detail as Principal;
        const values: Record<string, string> = { subject: subject === "" ? "unknown" : subject };
        for (const name of SHOWN_CLAIMS) {
          const value = claimOf(claims, name);
          if (value !== undefined) values[name] = claimText(value);
        }
        return { text: `allowed by ${provider}`, values };
      }
      case NOBODY_CALLS:
        return { text: `nobody: no credential, which ${this.source} allows`, values: {} };
      case MISSING:
        return { text: `no credential; ${this.source} wants ${this.#wanted()}`, values: {} };
      default:
        return { text: `${provider}: ${String(detail)}`, values: {} };
    }
  }

  nearest({ code, text: provider }: GateNote): string {
    if (code === UNAVAILABLE) return `might have passed if ${provider} could have been asked`;
    const wanted = this.#tried.find((tried) => tried.provider.label === provider)?.provider.wanted ?? this.#wanted();
    return `would have passed with ${code === WRONG ? "a good one of: " : ""}${wanted}`;
  }
}

function fieldsOf({ claims }: Principal, headers: readonly ClaimHeader[]): string[] {
  const fields: string[] = [];
  for (const { claim, header } of headers) {
    const value = claimField(claimOf(claims, claim));
    if (value !== null) fields.push(header.toLowerCase(), value);
  }
  return fields;
}

/** What recordings hold of it, under the tape's name for it. Labels are keys, which are never redacted: they are policy's own. */
interface Taped {
  readonly code: number;
  readonly by?: Readonly<Record<string, 1>>;
  readonly ms?: number;
  readonly subject?: string;
  readonly issuer?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly problem?: string;
}

const NO_FIELDS: readonly string[] = [];
const TAPED = "caller";
const ASKED = 0;
const KNOWN = 1;
const NOBODY_CALLS = 2;
const MISSING = 3;
const WRONG = 4;
const UNAVAILABLE = 5;
const REPLIED = 6;
/** Told in explanations beside the subject. */
const SHOWN_CLAIMS = ["role", "roles", "scope", "groups"];
