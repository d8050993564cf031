import type { CallState } from "../machine/call-state.ts";
import { sentBy } from "../machine/request-values.ts";
import type { ApiKeyConsumer, ApiKeySpec, CredentialPlace } from "./authentication-resource.ts";
import { AMBIGUOUS, placeText, readCredential } from "./credential-place.ts";
import { credentialDigest } from "./digest.ts";
import {
  type Outcome,
  type Provider,
  Question,
  quoted,
  Refusal,
  type Verified,
  verifiedUser,
  wallOf,
} from "./provider.ts";
import type { SecretAnswer, SecretQuestion } from "./questions.ts";
import { stripCredential } from "./strip.ts";
import { VerifiedCache } from "./verified-cache.ts";

/**
 * API keys, kept as SHA-256: enough for keys that are long and random, which nobody can guess from a hash (OWASP Cryptographic Storage: slow hashes are for
 * what people choose). The key itself is never compared: how long a lookup by its hash takes tells a guesser about the hash only, and a hash cannot be
 * steered towards another.
 */
export class ApiKeyProvider implements Provider {
  readonly label: string;
  readonly method = "api-key";
  readonly wanted: string;
  readonly #source: string;
  readonly #file: string | null;
  readonly #places: readonly CredentialPlace[];
  readonly #forward: boolean;
  readonly #consumers = new Map<string, Verified>();
  /** From the file: remembered shortly, so that a key that is taken out of it soon stops working. */
  readonly #verified = new VerifiedCache<Verified>();

  constructor(label: string, source: string, spec: ApiKeySpec, forward: boolean) {
    this.label = label;
    this.#source = source;
    this.#file = spec.file ?? null;
    this.#places = (spec.from ?? [{ header: "x-api-key" }]).map((place) =>
      place.header === undefined ? place : { ...place, header: place.header.toLowerCase() },
    );
    this.#forward = forward;
    for (const consumer of spec.consumers ?? []) {
      const verified = this.#verifiedOf(consumer);
      for (const digest of typeof consumer.sha256 === "string" ? [consumer.sha256] : consumer.sha256) {
        this.#consumers.set(digest.toLowerCase(), verified);
      }
    }
    this.wanted = `a key in ${this.#places.map(placeText).join(" or ")}`;
  }

  check(call: CallState, now: number): Outcome | null {
    const request = sentBy(call);
    for (const place of this.#places) {
      const key = readCredential(request, place);
      if (key === null || key === "") continue;
      if (key === AMBIGUOUS) return new Refusal(`there is more than one key in ${placeText(place)}`, 1);
      return this.#checkKey(credentialDigest(request.fields, key), call, now);
    }
    return null;
  }

  #checkKey(digest: string, call: CallState, now: number): Outcome {
    const known = this.#consumers.get(digest) ?? this.#verified.get(digest, wallOf(call, now));
    if (known !== null) return known;
    if (this.#file === null) return new Refusal(UNKNOWN, 4);
    const about: SecretQuestion = { type: "api-key", file: this.#file, sha256: digest };
    const query = { kind: "secret", key: `${this.label} ${digest}`, about } as const;
    return new Question(query, QUERY_MS, (result, caller, later) => {
      const answer = result as SecretAnswer | null;
      if (answer === null) return new Refusal("the file of keys could not be read", 5, true);
      if (answer.consumer === null) return new Refusal(UNKNOWN, 4);
      const until = wallOf(caller, later) + CACHE_MS;
      const verified = this.#verifiedOf(answer.consumer);
      this.#verified.set(digest, verified, until);
      return verified;
    });
  }

  #verifiedOf({ name, claims = {} }: Pick<ApiKeyConsumer, "name" | "claims">): Verified {
    return verifiedUser(this.#source, this, name, claims);
  }

  challenge(): string {
    return `ApiKey realm=${quoted(this.label)}`;
  }

  strip(call: CallState): void {
    if (!this.#forward) for (const place of this.#places) stripCredential(call, place);
  }
}

const UNKNOWN = "no consumer has this key";
const CACHE_MS = 10_000;
const QUERY_MS = 2_000;
