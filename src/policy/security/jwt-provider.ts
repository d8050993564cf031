import type { CallState } from "../machine/call-state.ts";
import type { Claims } from "../machine/principal.ts";
import { sentBy } from "../machine/request-values.ts";
import { durationMs } from "../resource/duration.ts";
import type { CredentialPlace, JwtSpec } from "./authentication-resource.ts";
import { claimMatchText, matchesClaim } from "./claims.ts";
import { AMBIGUOUS, placeText, readCredential } from "./credential-place.ts";
import { credentialDigest } from "./digest.ts";
import { parseToken, type Token } from "./jwt.ts";
import { type Outcome, type Provider, Question, quoted, Refusal, Verified, wallOf } from "./provider.ts";
import type { TokenAnswer, TokenQuestion } from "./questions.ts";
import { stripCredential } from "./strip.ts";
import { VerifiedCache } from "./verified-cache.ts";

/**
 * JSON Web Tokens (RFC 7519) as RFC 8725 advises: algorithms from a list and never from the token alone (3.1), issuer and audience checked (3.8, 3.9), `typ` where
 * the policy says so (3.11), unknown critical headers refused (RFC 7515 4.1.11). Claims are judged here; the signature alone is asked for, once for each token.
 */
export class JwtProvider implements Provider {
  readonly label: string;
  readonly method = "jwt";
  readonly wanted: string;
  readonly #source: string;
  readonly #spec: JwtSpec;
  readonly #places: readonly CredentialPlace[];
  readonly #algorithms: ReadonlySet<string>;
  readonly #leewayMs: number;
  readonly #cacheMs: number;
  readonly #forward: boolean;
  readonly #verified = new VerifiedCache<Verified>();

  constructor(label: string, source: string, spec: JwtSpec, forward: boolean) {
    this.label = label;
    this.#source = source;
    this.#spec = spec;
    this.#places = placesOf(spec);
    this.#algorithms = new Set(spec.algorithms ?? (spec.jwks === undefined ? ["HS256"] : ASYMMETRIC));
    this.#leewayMs = durationMs(spec.leeway ?? "5s");
    this.#cacheMs = Math.min(durationMs(spec.cacheFor ?? "1h"), MAX_CACHE_MS);
    this.#forward = forward;
    this.wanted = `a token of ${spec.issuer} in ${this.#places.map(placeText).join(" or ")}`;
  }

  check(call: CallState, now: number): Outcome | null {
    const request = sentBy(call);
    for (const place of this.#places) {
      const text = readCredential(request, place);
      if (text === null || text === "") continue;
      if (text === AMBIGUOUS) return new Refusal(`there is more than one credential in ${placeText(place)}`, 1);
      return this.#checkToken(text, call, now);
    }
    return null;
  }

  #checkToken(text: string, call: CallState, now: number): Outcome {
    if (text.length > MAX_TOKEN) return new Refusal(`the token is longer than ${MAX_TOKEN} characters`);
    const digest = credentialDigest(sentBy(call).fields, text);
    const wall = wallOf(call, now);
    const known = this.#verified.get(digest, wall);
    if (known !== null) {
      if (known.key?.gone !== true) return known; // kept for no longer than it is good
      this.#verified.delete(digest);
    }
    const token = parseToken(text);
    if (typeof token === "string") return new Refusal(token);
    const problem = this.#problemOf(token, wall);
    if (problem !== null) return problem;
    const { jwks, secret } = this.#spec;
    const about: TokenQuestion = {
      token: text,
      algorithm: token.algorithm,
      keyId: token.keyId,
      keys: jwks === undefined ? { secret: secret as NonNullable<typeof secret> } : { jwks },
    };
    return new Question({ kind: "token", key: `${this.label} ${digest}`, about }, QUERY_MS, (result, caller, later) =>
      this.#judge(result as TokenAnswer | null, token, digest, wallOf(caller, later)),
    );
  }

  #judge(answer: TokenAnswer | null, token: Token, digest: string, wall: number): Outcome {
    if (answer === null) return new Refusal(`the keys of ${this.#spec.issuer} could not be had in time`, 5, true);
    if (!answer.verified) return new Refusal(answer.problem, 4);
    const problem = this.#problemOf(token, wall); // it may have expired while its keys were fetched
    if (problem !== null) return problem;
    const { claims } = token;
    const principal = {
      source: this.#source,
      method: this.method,
      provider: this.label,
      subject: typeof claims.sub === "string" ? claims.sub : "",
      issuer: this.#spec.issuer,
      claims,
    };
    const expiresAt = typeof claims.exp === "number" ? claims.exp * 1000 : Number.POSITIVE_INFINITY;
    const verified = new Verified(principal, expiresAt, answer.key);
    const until = Math.min(expiresAt + this.#leewayMs, wall + this.#cacheMs);
    if (until > wall) this.#verified.set(digest, verified, until);
    return verified;
  }

  /** What is wrong with a token whatever its signature. */
  #problemOf({ algorithm, type, claims }: Token, wall: number): Refusal | null {
    const { issuer, audiences, requiredClaims, requireExpiry, type: wantedType } = this.#spec;
    if (claims.iss !== issuer) return new Refusal(`its issuer is ${shown(claims.iss)}, not ${issuer}`);
    if (!this.#algorithms.has(algorithm)) {
      return new Refusal(`its algorithm ${shown(algorithm)} is none of ${[...this.#algorithms].join(", ")}`, 2);
    }
    if (wantedType !== undefined && type.toLowerCase().replace(/^application\//, "") !== wantedType.toLowerCase()) {
      return new Refusal(`its type is ${shown(type)}, not ${wantedType}`, 2);
    }
    if (audiences !== undefined) {
      const theirs = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
      if (!theirs.some((one) => audiences.includes(one as string))) {
        return new Refusal(
          `it is for the audience ${shown(theirs.map(shown).join(", "))}, not ${audiences.join(" or ")}`,
          2,
        );
      }
    }
    return this.#timeProblem(claims, wall, requireExpiry ?? true) ?? claimProblem(claims, requiredClaims ?? []);
  }

  #timeProblem({ exp, nbf, iat }: Claims, wall: number, required: boolean): Refusal | null {
    for (const [name, value] of [
      ["exp", exp],
      ["nbf", nbf],
      ["iat", iat],
    ] as const) {
      if (value !== undefined && !(typeof value === "number" && Number.isFinite(value))) {
        return new Refusal(`its ${name} is no number`, 2);
      }
    }
    if (exp === undefined && required) return new Refusal("it says no expiry (exp)", 2);
    const overMs = wall - (exp as number) * 1000;
    if (overMs >= this.#leewayMs) return new Refusal(`it expired ${ago(overMs)} ago`, 3);
    const earlyMs = (nbf as number) * 1000 - wall;
    if (earlyMs > this.#leewayMs) return new Refusal(`it is valid only in ${ago(earlyMs)}`, 3);
    return null;
  }

  challenge(problem: string): string {
    const realm = `Bearer realm=${quoted(this.label)}`;
    return problem === "" ? realm : `${realm}, error="invalid_token", error_description=${quoted(problem)}`;
  }

  strip(call: CallState): void {
    if (!this.#forward) for (const place of this.#places) stripCredential(call, place);
  }

  /** Tokens remembered. */
  get remembered(): number {
    return this.#verified.size;
  }
}

function placesOf({ from }: JwtSpec): readonly CredentialPlace[] {
  if (from === undefined || from.length === 0) return [{ header: "authorization", scheme: "Bearer" }];
  return from.map((place) => (place.header === undefined ? place : { ...place, header: place.header.toLowerCase() }));
}

function claimProblem(claims: Claims, required: NonNullable<JwtSpec["requiredClaims"]>): Refusal | null {
  const missing = required.find((match) => !matchesClaim(claims, match));
  return missing === undefined ? null : new Refusal(`it does not have ${claimMatchText(missing)}`, 3);
}

/** What a token says of itself, before its signature is known: cut, without control characters. */
function shown(value: unknown): string {
  // An object of somebody's making cannot be trusted to turn itself into a text.
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "absent");
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 80);
}

/** "5 s", "3 min", "2 h", "9 days". */
function ago(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}

export const ASYMMETRIC: readonly string[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
export const SYMMETRIC: readonly string[] = ["HS256", "HS384", "HS512"];
const MAX_TOKEN = 16_384;
/** Keys that nobody asked for so long are not looked after any more (JwksCache), so that nobody would hear that one is gone. */
const MAX_CACHE_MS = 86_400_000;
/** Fetching keys takes time. */
const QUERY_MS = 5_000;
