import type { Clock } from "../../core/clock.ts";
import { claimOf } from "../../policy/machine/principal.ts";
import type { OidcSpec } from "../../policy/security/authentication-resource.ts";
import { parseToken } from "../../policy/security/jwt.ts";
import { ASYMMETRIC } from "../../policy/security/jwt-provider.ts";
import { type Fetch, fetchJson } from "./fetch-json.ts";
import type { Secrets } from "./secrets.ts";
import type { TokenVerifier } from "./token-query.ts";

/** What a provider's discovery document says, as far as it is used (OpenID Connect Discovery 1.0 section 3). */
export interface ProviderDocument {
  readonly issuer: string;
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly jwks_uri: string;
  readonly end_session_endpoint?: string;
  readonly token_endpoint_auth_methods_supported?: readonly string[];
}

export interface Tokens {
  /** Of the ID token, verified; null when a refresh brought none. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly refreshToken: string;
  /** Of the access token; Infinity when not said. */
  readonly expiresInMs: number;
}

/** The provider said no (an OAuth error), as opposed to being out of reach. */
export class ProviderRefusal extends Error {}

/** Speaks with OpenID providers: discovery, the token endpoint, and the verification of ID tokens. */
export class OidcClient {
  readonly #clock: Clock;
  readonly #fetch: Fetch;
  readonly #secrets: Secrets;
  readonly #tokens: TokenVerifier;
  readonly #documents = new Map<string, KnownProvider>();
  readonly #fetching = new Map<string, Promise<ProviderDocument>>();

  constructor(clock: Clock, fetch: Fetch, secrets: Secrets, tokens: TokenVerifier) {
    this.#clock = clock;
    this.#fetch = fetch;
    this.#secrets = secrets;
    this.#tokens = tokens;
  }

  /**
   * Callers that come together wait for one fetch, and after a failure nothing is fetched for RETRY_MS: whoever asks to log in while the provider is down shall not
   * make us ask it each time.
   */
  async discover({ issuer }: OidcSpec): Promise<ProviderDocument> {
    const known = this.#documents.get(issuer);
    const now = this.#clock.now();
    if (known?.document != null && now < known.until) return known.document;
    if (known?.failure != null && now < known.retryAt) {
      if (known.document !== null) return known.document;
      throw known.failure;
    }
    let fetching = this.#fetching.get(issuer);
    if (fetching === undefined) {
      fetching = this.#fetchDocument(issuer).finally(() => this.#fetching.delete(issuer));
      this.#fetching.set(issuer, fetching);
    }
    return fetching;
  }

  async #fetchDocument(issuer: string): Promise<ProviderDocument> {
    const before = this.#documents.get(issuer)?.document ?? null;
    if (this.#documents.size >= MAX_PROVIDERS) this.#documents.clear();
    try {
      const document = await this.#documentOf(issuer);
      this.#documents.set(issuer, { document, until: this.#clock.now() + DOCUMENT_MS, failure: null, retryAt: 0 });
      return document;
    } catch (error) {
      const retryAt = this.#clock.now() + RETRY_MS;
      this.#documents.set(issuer, { document: before, until: 0, failure: error as Error, retryAt });
      if (before !== null) return before;
      throw error;
    }
  }

  async #documentOf(issuer: string): Promise<ProviderDocument> {
    const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { status, value } = await fetchJson(this.#fetch, url, { headers: { accept: "application/json" } }, FETCH_MS);
    const document = value as ProviderDocument;
    if (status !== 200) throw new Error(`${url} answers with HTTP ${status}`);
    // Section 4.3: otherwise one provider could speak for another.
    if (document?.issuer !== issuer) throw new Error(`${url} is of another issuer`);
    for (const field of ["authorization_endpoint", "token_endpoint", "jwks_uri"] as const) {
      if (typeof document[field] !== "string" || !URL.canParse(document[field]))
        throw new Error(`${url} has no ${field}`);
    }
    return document;
  }

  /** OpenID Connect Core 1.0 sections 3.1.3.1 and 12. Throws ProviderRefusal, or whatever went wrong on the way. */
  async tokens(spec: OidcSpec, form: Record<string, string>, nonce: string | null): Promise<Tokens> {
    const document = await this.discover(spec);
    const body = new URLSearchParams(form);
    const headers: Record<string, string> = {
      accept: "application/json",
      "content-type": "application/x-www-form-urlencoded",
    };
    const secret = spec.clientSecret === undefined ? null : await this.#secrets.secret(spec.clientSecret);
    if (spec.clientSecret !== undefined && secret === null) throw new Error("the client's secret is not there");
    const methods = document.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
    if (secret === null) body.set("client_id", spec.clientId);
    else if (methods.includes("client_secret_basic")) {
      // RFC 6749 section 2.3.1: both are form-encoded first.
      const pair = `${formEncoded(spec.clientId)}:${formEncoded(secret)}`;
      headers.authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
    } else {
      body.set("client_id", spec.clientId);
      body.set("client_secret", secret);
    }
    const init = { method: "POST", headers, body: body.toString() };
    const { status, value } = await fetchJson(this.#fetch, document.token_endpoint, init, FETCH_MS);
    const answer = value as Record<string, unknown>;
    if (status >= 400 && status < 500) throw new ProviderRefusal(shortText(answer.error ?? `HTTP ${status}`));
    if (status !== 200) throw new Error(`${document.token_endpoint} answers with HTTP ${status}`);
    const idToken = typeof answer.id_token === "string" ? answer.id_token : "";
    if (idToken === "" && nonce !== null) throw new ProviderRefusal("it gave no ID token");
    return {
      claims: idToken === "" ? null : await this.#idClaims(idToken, spec, document, nonce),
      refreshToken: typeof answer.refresh_token === "string" ? answer.refresh_token : "",
      expiresInMs: typeof answer.expires_in === "number" ? answer.expires_in * 1000 : Number.POSITIVE_INFINITY,
    };
  }

  /** OpenID Connect Core 1.0 section 3.1.3.7. */
  async #idClaims(
    idToken: string,
    { issuer, clientId }: OidcSpec,
    { jwks_uri: url }: ProviderDocument,
    nonce: string | null,
  ): Promise<Readonly<Record<string, unknown>>> {
    const token = parseToken(idToken);
    if (typeof token === "string") throw new ProviderRefusal(`its ID token is not good: ${token}`);
    const { algorithm, keyId, claims } = token;
    const bad = (what: string): ProviderRefusal => new ProviderRefusal(`its ID token has ${what}`);
    if (!ASYMMETRIC.includes(algorithm)) throw bad("an algorithm that is not accepted");
    if (claims.iss !== issuer) throw bad("another issuer");
    const audience = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    if (!audience.includes(clientId)) throw bad("another audience");
    if ((audience.length > 1 || claims.azp !== undefined) && claimOf(claims, "azp") !== clientId)
      throw bad("another azp");
    if (typeof claims.exp !== "number" || claims.exp * 1000 + LEEWAY_MS <= this.#clock.wallMs()) throw bad("expired");
    if (typeof claims.sub !== "string" || claims.sub === "") throw bad("no subject");
    if (nonce !== null && claims.nonce !== nonce) throw bad("another nonce");
    const question = { token: idToken, algorithm, keyId, keys: { jwks: { url } } };
    const answer = await this.#tokens.verify(`oidc ${url} ${idToken}`, question);
    if (answer === null) throw new Error(`the keys of ${issuer} cannot be had`);
    if (!answer.verified) throw new ProviderRefusal(answer.problem);
    return claims;
  }
}

function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}

/** An error's name as the provider gives it: it goes to people. */
function shortText(value: unknown): string {
  return String(value)
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 80);
}

/** What is known of a provider: the document that was had last, and what went wrong since. */
interface KnownProvider {
  readonly document: ProviderDocument | null;
  readonly until: number;
  readonly failure: Error | null;
  readonly retryAt: number;
}

const FETCH_MS = 4_000;
const RETRY_MS = 5_000;
const DOCUMENT_MS = 3_600_000;
const LEEWAY_MS = 60_000;
const MAX_PROVIDERS = 100;
