import type { CallState } from "../machine/call-state.ts";
import { sentBy } from "../machine/request-values.ts";
import { durationMs } from "../resource/duration.ts";
import type { HmacKey, HmacSpec } from "./authentication-resource.ts";
import { type HttpSignature, parseSignatures, signatureBase } from "./http-signature.ts";
import { Nonces } from "./nonces.ts";
import {
  digestOf,
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

/**
 * HTTP Message Signatures (RFC 9421) with hmac-sha256: the caller signs the parts of the request that `covers` names, when (`created`), and a nonce. A signature is
 * good once, and for maxAge. Bodies are covered by a signed content-digest (RFC 9530), which the service compares with what it reads.
 */
export class HmacProvider implements Provider {
  readonly label: string;
  readonly method = "hmac";
  readonly wanted: string;
  readonly #source: string;
  readonly #keys: ReadonlyMap<string, { readonly key: HmacKey; readonly verified: Verified }>;
  readonly #covers: readonly string[];
  readonly #maxAgeMs: number;
  readonly #leewayMs: number;
  readonly #requireNonce: boolean;
  readonly #forward: boolean;
  readonly #nonces = new Nonces(100_000);

  constructor(label: string, source: string, spec: HmacSpec, forward: boolean) {
    this.label = label;
    this.#source = source;
    this.#covers = (spec.covers ?? DEFAULT_COVERS).map((name) => name.toLowerCase());
    this.#maxAgeMs = durationMs(spec.maxAge ?? "5m");
    this.#leewayMs = durationMs(spec.leeway ?? "5s");
    this.#requireNonce = spec.requireNonce ?? true;
    this.#forward = forward;
    this.#keys = new Map(spec.keys.map((key) => [key.id, { key, verified: this.#verifiedOf(key) }]));
    this.wanted = `a signature (hmac-sha256) of ${this.#covers.join(", ")}`;
  }

  check(call: CallState, now: number): Outcome | null {
    const request = sentBy(call);
    const signatures = parseSignatures(request.fields);
    if (signatures === null) return null;
    if (typeof signatures === "string") return new Refusal(signatures, 1);
    const signature = signatures.find(({ keyId }) => this.#keys.has(keyId));
    if (signature === undefined) return new Refusal("its keyid is not known", 1);
    const problem = this.#problemOf(signature, wallOf(call, now));
    if (problem !== "") return new Refusal(problem, 2);
    const base = signatureBase(request, signature);
    if (base === null) return new Refusal("it covers something that the request does not have", 2);
    const { key, verified } = this.#keys.get(signature.keyId) as { key: HmacKey; verified: Verified };
    const about: SecretQuestion = { type: "hmac", secret: key.secret, base, signature: signature.signature };
    const digest = digestOf(`${base}\n${Buffer.from(signature.signature).toString("base64")}`);
    const query = { kind: "secret", key: `${this.label} ${digest}`, about } as const;
    return new Question(query, QUERY_MS, (result, caller, later) => {
      const answer = result as SecretAnswer | null;
      if (answer === null) return new Refusal(`the secret of ${signature.keyId} could not be had`, 5, true);
      if (answer.consumer === null) return new Refusal("its signature is wrong", 4);
      return this.#once(signature, wallOf(caller, later)) ?? verified;
    });
  }

  #problemOf({ algorithm, covers, created, expires, nonce }: HttpSignature, wall: number): string {
    if (algorithm !== "" && algorithm !== "hmac-sha256") return "its algorithm is not hmac-sha256";
    const missing = this.#covers.filter((component) => !covers.includes(component));
    if (missing.length > 0) return `it does not cover ${missing.join(", ")}`;
    if (Number.isNaN(created)) return "it does not say when it was created";
    if (created * 1000 - wall > this.#leewayMs) return "it was created in the future";
    if (wall - created * 1000 >= this.#maxAgeMs + this.#leewayMs) return "it is too old";
    if (!Number.isNaN(expires) && wall - expires * 1000 >= this.#leewayMs) return "it has expired";
    if (nonce === "" && this.#requireNonce) return "it has no nonce";
    return nonce.length > MAX_NONCE ? `its nonce is longer than ${MAX_NONCE} characters` : "";
  }

  /** Null, or what is wrong with its nonce. Only verified signatures get here, so that nobody else can use up nonces or room. */
  #once({ keyId, nonce, created }: HttpSignature, wall: number): Refusal | null {
    if (nonce === "") return null;
    const until = created * 1000 + this.#maxAgeMs + this.#leewayMs;
    const state = this.#nonces.use(`${keyId} ${nonce}`, until, wall);
    if (state === Nonces.used) return new Refusal("its nonce was used before", 4);
    return state === Nonces.full ? new Refusal("there is no room to remember its nonce", 5, true) : null;
  }

  #verifiedOf({ id, claims = {} }: HmacKey): Verified {
    return verifiedUser(this.#source, this, id, claims);
  }

  challenge(): string {
    return `Signature realm=${quoted(this.label)}`;
  }

  strip(call: CallState): void {
    if (this.#forward) return;
    call.removeRequestField("signature");
    call.removeRequestField("signature-input");
  }
}

const DEFAULT_COVERS = ["@method", "@authority", "@path", "@query"];
const MAX_NONCE = 128;
const QUERY_MS = 2_000;
