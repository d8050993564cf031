import type { CallState } from "../machine/call-state.ts";
import type { MtlsSpec } from "./authentication-resource.ts";
import { type TextPattern, textPattern } from "./pattern.ts";
import { type Outcome, type Provider, quoted, Refusal, Verified } from "./provider.ts";
import { VerifiedCache } from "./verified-cache.ts";

/** The identity of the certificate that the peer showed, which the listener has verified (net/peer.ts): a SPIFFE id, or the subject's common name. */
export class MtlsProvider implements Provider {
  readonly label: string;
  readonly method = "mtls";
  readonly wanted: string;
  readonly #source: string;
  readonly #domains: readonly string[] | null;
  readonly #identities: readonly TextPattern[] | null;
  readonly #known = new VerifiedCache<Verified>(10_000);

  constructor(label: string, source: string, { trustDomains, identities }: MtlsSpec) {
    this.label = label;
    this.#source = source;
    this.#domains = trustDomains ?? null;
    this.#identities = identities?.map(textPattern) ?? null;
    const who = identities?.join(" or ") ?? trustDomains?.map((domain) => `spiffe://${domain}/...`).join(" or ");
    this.wanted = who === undefined ? "a client certificate" : `a client certificate of ${who}`;
  }

  check(call: CallState): Outcome | null {
    const { peerIdentity } = call.caller;
    if (peerIdentity === "") return null;
    const known = this.#known.get(peerIdentity, 0);
    if (known !== null) return known;
    const domain = /^spiffe:\/\/([^/]+)/.exec(peerIdentity)?.[1] ?? "";
    if (this.#domains !== null && !this.#domains.includes(domain)) {
      return new Refusal(`${peerIdentity} is not of the trust domain ${this.#domains.join(" or ")}`, 3);
    }
    if (this.#identities !== null && !this.#identities.some((pattern) => pattern.test(peerIdentity))) {
      return new Refusal(`${peerIdentity} is none of the identities that are accepted`, 4);
    }
    const principal = {
      source: this.#source,
      method: this.method,
      provider: this.label,
      subject: peerIdentity,
      issuer: domain === "" ? "" : `spiffe://${domain}`,
      claims: {},
    };
    const verified = new Verified(principal, Number.POSITIVE_INFINITY);
    this.#known.set(peerIdentity, verified, 1);
    return verified;
  }

  challenge(): string {
    return `Mutual realm=${quoted(this.label)}`;
  }

  strip(): void {}
}
