import type { CallState } from "../machine/call-state.ts";
import { sentBy } from "../machine/request-values.ts";
import { durationMs } from "../resource/duration.ts";
import type { BasicSpec } from "./authentication-resource.ts";
import { AMBIGUOUS, readCredential } from "./credential-place.ts";
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
import { VerifiedCache } from "./verified-cache.ts";

/** Names and passwords (RFC 7617), kept as scrypt hashes (RFC 7914). A verified pair is remembered by its digest, since scrypt is slow on purpose. */
export class BasicProvider implements Provider {
  readonly label: string;
  readonly method = "basic";
  readonly wanted = "a name and password";
  readonly #source: string;
  readonly #spec: BasicSpec;
  readonly #cacheMs: number;
  readonly #forward: boolean;
  readonly #verified = new VerifiedCache<Verified>(1_000);

  constructor(label: string, source: string, spec: BasicSpec, forward: boolean) {
    this.label = label;
    this.#source = source;
    this.#spec = spec;
    this.#cacheMs = durationMs(spec.cacheFor ?? "5m");
    this.#forward = forward;
  }

  check(call: CallState, now: number): Outcome | null {
    const text = readCredential(sentBy(call), AUTHORIZATION);
    if (text === null) return null;
    if (text === AMBIGUOUS) return new Refusal("there is more than one authorization field", 1);
    if (!call.caller.secure && this.#spec.insecure !== true) {
      return new Refusal("passwords are accepted over TLS only (insecure: true allows others)", 2);
    }
    const digest = credentialDigest(sentBy(call).fields, text);
    const known = this.#verified.get(digest, wallOf(call, now));
    if (known !== null) return known;
    const pair = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64").toString("utf8") : "";
    const colon = pair.indexOf(":");
    if (colon < 0 || pair.length > MAX_PAIR) return new Refusal("its name and password cannot be read", 1);
    const about: SecretQuestion = {
      type: "basic",
      users: this.#spec.users ?? [],
      file: this.#spec.file ?? null,
      name: pair.slice(0, colon),
      password: pair.slice(colon + 1),
    };
    const query = { kind: "secret", key: `${this.label} ${digest}`, about } as const;
    return new Question(query, QUERY_MS, (result, caller, later) => {
      const answer = result as SecretAnswer | null;
      if (answer === null) return new Refusal("the password could not be checked in time", 5, true);
      if (answer.consumer === null) return new Refusal("name or password is wrong", 4);
      const { name, claims = {} } = answer.consumer;
      const verified = verifiedUser(this.#source, this, name, claims);
      this.#verified.set(digest, verified, wallOf(caller, later) + this.#cacheMs);
      return verified;
    });
  }

  challenge(): string {
    return `Basic realm=${quoted(this.label)}, charset="UTF-8"`;
  }

  strip(call: CallState): void {
    if (!this.#forward) call.removeRequestField("authorization");
  }
}

const AUTHORIZATION = { header: "authorization", scheme: "Basic" };
const MAX_PAIR = 1_024;
const QUERY_MS = 5_000;
