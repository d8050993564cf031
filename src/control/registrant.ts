import { randomBytes, X509Certificate } from "node:crypto";
import type { Prove } from "../contract/gen/weft/control/v1/control.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import { type MutualTls, spiffeId } from "../core/identity.ts";
import { isProof } from "../core/identity-proof.ts";
import type { Authority } from "./authority/authority.ts";
import { RENEWAL_GRACE_MS } from "./authority/identity-service.ts";
import type { JoinTokens } from "./authority/join-tokens.ts";

/**
 * Who an attached process has proved to be, by its certificate's key or the operator's secret, over a challenge that is its line's alone, or already by TLS. It goes by that what it may
 * register (assertMayRegister). A proof that does not hold takes nothing away: its reason is told with the first registration that needed one.
 */
export class Registrant {
  readonly challenge: Uint8Array = randomBytes(32);
  readonly #authority: Pick<Authority, "holderOf">;
  readonly #tokens: Pick<JoinTokens, "isOperatorProof">;
  #service: string | null = null;
  #operator = false;
  #refusal = "its process has shown no identity: start it with a join token (WEFT_JOIN_TOKEN)";
  #failed = 0;

  /** `identity`: what its connection has proved, a SPIFFE id of the own system; "" for nothing. */
  constructor(
    authority: Pick<Authority, "holderOf" | "system">,
    tokens: Pick<JoinTokens, "isOperatorProof">,
    identity = "",
  ) {
    const own = spiffeId(authority.system, "");
    if (identity.startsWith(own)) this.#service = identity.slice(own.length);
    this.#authority = authority;
    this.#tokens = tokens;
  }

  /** Throws `permission_denied` after too many proofs that do not hold. */
  prove(shown: Prove): void {
    const refusal = this.#judge(shown);
    if (refusal === null) return;
    this.#refusal = refusal;
    if (++this.#failed < MAX_FAILED) return;
    throw new WeftError("permission_denied", `${MAX_FAILED} proofs did not hold: ${refusal}`, { reason: "NOT_PROVEN" });
  }

  /** The one service that it has proved to be; null while it has not. */
  get service(): string | null {
    return this.#service;
  }

  proves(service: string): boolean {
    return this.#operator || this.#service === service;
  }

  /** For people: why more than it has proved is not believed. */
  get refusal(): string {
    return this.#service === null ? this.#refusal : `its process is "${this.#service}"`;
  }

  #judge({ certificate, signature, operator }: Prove): string | null {
    if (operator.length > 0) {
      this.#operator ||= this.#tokens.isOperatorProof(this.challenge, operator);
      return this.#operator ? null : "what it showed was not made by the operator's secret of this control plane";
    }
    let shown: X509Certificate;
    try {
      if (certificate.length > MAX_PEM) throw new RangeError("it is too long");
      shown = new X509Certificate(certificate);
    } catch {
      return "the certificate that it showed cannot be read";
    }
    // As long as it may be renewed: after the control plane was away processes come back with what they have.
    const holder = this.#authority.holderOf(shown, RENEWAL_GRACE_MS);
    if ("refusal" in holder) return holder.refusal;
    if (shown.publicKey.asymmetricKeyType !== "ec" || !isProof("attach", this.challenge, shown.publicKey, signature))
      return `it showed the certificate of "${holder.service}" without its key`;
    this.#service = holder.service;
    return null;
  }
}

/** What is known when an endpoint is to be registered. */
export interface RegistrationFacts {
  readonly system: string;
  /** How its service takes calls. */
  readonly mode: MutualTls;
  /** What is registered by its id now. */
  readonly before: Endpoint | undefined;
  /** Whether whoever registers it has proved to be this service. */
  readonly proves: (service: string) => boolean;
  /** Why not. */
  readonly refusal: string;
}

/**
 * Nobody is led to call one service by the name of another, and nobody takes a service's callers away from it. Endpoints that
 *
 *     have an identity                      are registered by whoever proved it, and it is that of their own service
 *     are of a service whose mtls is strict
 *     replace one that has an identity      (the same id) likewise, by whoever proved that one's
 *
 * The rest, in plain text, is anybody's who reaches the control plane: that is what `strict` is for. Throws `permission_denied`.
 */
export function assertMayRegister(endpoint: Endpoint, facts: RegistrationFacts): void {
  const { id, service, identity } = endpoint;
  const { system, mode, before, proves, refusal } = facts;
  const own = spiffeId(system, service);
  if (identity !== undefined && identity !== own) {
    const text = `${id} cannot be registered as ${identity.slice(0, 256)}: an endpoint of ${service} proves ${own}`;
    throw new WeftError("invalid_argument", text, { reason: "FOREIGN_IDENTITY", place: { field: "identity" } });
  }
  if (before?.identity !== undefined && !proves(before.service)) {
    const text = `"${id}" is an endpoint of ${before.identity}, and nobody else replaces it: ${refusal}`;
    throw new WeftError("permission_denied", text, { reason: "NOT_PROVEN", place: { field: "id" } });
  }
  if ((identity === undefined && mode !== "strict") || proves(service)) return;
  const what = identity === undefined ? `${service} takes mutual TLS alone (mtls: strict)` : `it says to be ${own}`;
  throw new WeftError("permission_denied", `${id} cannot be registered, for ${what}: ${refusal}`, {
    reason: "NOT_PROVEN",
    place: { field: identity === undefined ? "service" : "identity" },
  });
}

const MAX_PEM = 16_384;
/** Each costs a signature's check. */
const MAX_FAILED = 32;
