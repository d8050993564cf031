import type { LocalResponse } from "../call.ts";
import type { CallState } from "../machine/call-state.ts";
import type { Claims, Principal } from "../machine/principal.ts";
import type { Query } from "../machine/query.ts";
import { sha256 } from "./digest.ts";
import type { KeyState } from "./questions.ts";

/**
 * One way of establishing who calls. Shared by all calls and kept across snapshots while its settings stay as they are, with what it remembers.
 */
export interface Provider {
  /** "jwt:shop" */
  readonly label: string;
  /** "jwt", "api-key", ... */
  readonly method: string;
  /** For 401 (RFC 9110 section 11.6.1). `problem` is "" when there was no credential. */
  challenge(problem: string): string;
  /** How to pass, for `nearest`: "a token of https://id in header authorization (Bearer)". */
  readonly wanted: string;
  /** Null: the call shows no credential of this kind. */
  check(call: CallState, now: number): Outcome | null;
  /** Takes what must not go on out of the request. */
  strip(call: CallState): void;
}

export type Outcome = Verified | Refusal | Question | Reply;

/** Who it is. Kept in caches: nothing of it may be changed. */
export class Verified {
  readonly principal: Principal;
  /** Epoch ms; Infinity when it does not expire. */
  readonly until: number;
  /** Request fields of claims, computed once; flat. */
  fields: readonly string[] | null = null;

  /** Of a token: what verified it; null when that is for good. */
  readonly key: KeyState | null;

  constructor(principal: Principal, until: number, key: KeyState | null = null) {
    this.principal = principal;
    this.until = until;
    this.key = key;
  }
}

/** A credential is there and is not good. */
export class Refusal {
  /** For the caller and for explanations; never holds the credential. */
  readonly problem: string;
  /** How far it came: of several refusals the one that came farthest is told. */
  readonly rank: number;
  /** Not the caller's fault: what is needed to judge it could not be had. */
  readonly unavailable: boolean;

  constructor(problem: string, rank = 0, unavailable = false) {
    this.problem = problem;
    this.rank = rank;
    this.unavailable = unavailable;
  }
}

/** Only the outside knows. */
export class Question {
  readonly query: Query;
  readonly timeoutMs: number;
  readonly answered: (result: unknown, call: CallState, now: number) => Outcome;

  constructor(query: Query, timeoutMs: number, answered: (result: unknown, call: CallState, now: number) => Outcome) {
    this.query = query;
    this.timeoutMs = timeoutMs;
    this.answered = answered;
  }
}

/** The call is answered here: a redirect to the login, or back from it. */
export class Reply {
  readonly response: LocalResponse;
  /** For explanations. */
  readonly text: string;

  constructor(response: LocalResponse, text: string) {
    this.response = response;
    this.text = text;
  }
}

/** Epoch ms. */
export function wallOf(call: CallState, now: number): number {
  return call.shared.wallAt + now;
}

/** Somebody whom settings name, who is known for as long as they do. */
export function verifiedUser(
  source: string,
  { method, label }: Pick<Provider, "method" | "label">,
  subject: string,
  claims: Claims = {},
): Verified {
  return new Verified({ source, method, provider: label, subject, issuer: "", claims }, Number.POSITIVE_INFINITY);
}

/** By which a credential is remembered, so that no memory holds it longer than its call. */
export function digestOf(credential: string): string {
  return sha256(credential, "base64url");
}

/** A string in a quoted-string (RFC 9110 section 5.6.4). */
export function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
