import type { Duration, Metadata, TargetRef, WEFT_API } from "../resource/resources.ts";

/**
 * Who calls: how the end user (or another system) of a call is established. Attached like a policy; the most specific level at which one is attached holds
 * alone. Several at that level: any of their providers suffices, and anonymous callers pass only if every one of them is optional.
 */
export interface Authentication {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "Authentication";
  readonly metadata: Metadata;
  readonly spec: AuthenticationSpec;
}

export interface AuthenticationSpec {
  readonly targetRefs?: readonly TargetRef[];
  /** Tried in this order; any suffices. */
  readonly providers: readonly AuthenticationProvider[];
  /** True: callers without any credential pass as nobody. A credential that is there and wrong is refused all the same. Default false. */
  readonly optional?: boolean;
  /** Where it is enforced. Default ["gateway"]; with "server" the service checks again what the gateway let through (the credential must be forwarded). */
  readonly at?: readonly EnforcedAt[];
}

export type EnforcedAt = "gateway" | "server";

/** One way of showing who one is: exactly one of the kinds. */
export interface AuthenticationProvider {
  /** Explanations and rules call it "jwt:NAME". Default: the resource's name. */
  readonly name?: string;
  readonly jwt?: JwtSpec;
  readonly apiKey?: ApiKeySpec;
  readonly hmac?: HmacSpec;
  readonly basic?: BasicSpec;
  readonly mtls?: MtlsSpec;
  readonly oidc?: OidcSpec;
  /** Another Authentication's provider, "jwt:shop". */
  readonly use?: string;
  /** Claims that are sent on as header fields. Fields of these names that come from outside are always taken out. */
  readonly claimHeaders?: readonly ClaimHeader[];
  /** False: the credential is not sent on. Default true for jwt and hmac, false for apiKey, basic and oidc. */
  readonly forwardToken?: boolean;
}

export interface ClaimHeader {
  /** "sub", "realm_access.roles". Lists are joined with commas. */
  readonly claim: string;
  readonly header: string;
}

/** Never the secret itself: where the process that needs it finds it. Files are read again when they change. */
export type SecretRef = { readonly env: string } | { readonly file: string };

/** Where a credential is: exactly one of header, cookie and query. */
export interface CredentialPlace {
  readonly header?: string;
  /** What stands before the credential in the header: "Bearer". Default none. */
  readonly scheme?: string;
  readonly cookie?: string;
  readonly query?: string;
}

/** A JSON Web Token (RFC 7519), checked as RFC 8725 advises. Several issuers are several providers. */
export interface JwtSpec {
  /** Must be the token's `iss`. */
  readonly issuer: string;
  /** One of them must be in the token's `aud`. Absent: not looked at. */
  readonly audiences?: readonly string[];
  /** The issuer's public keys. */
  readonly jwks?: JwksSource;
  /** In place of jwks: a secret shared with the issuer (at least 32 bytes), for HS256, HS384 and HS512. */
  readonly secret?: SecretRef;
  /** Default: every asymmetric one with jwks (RS, PS, ES, EdDSA), HS256 with secret. "none" is never accepted. */
  readonly algorithms?: readonly string[];
  /** How far clocks may differ. Default "5s". */
  readonly leeway?: Duration;
  /** Conditions on claims, all of which must hold. */
  readonly requiredClaims?: readonly ClaimMatch[];
  /** False accepts tokens without `exp`. Default true. */
  readonly requireExpiry?: boolean;
  /** The token's `typ` must be this: "at+jwt". Absent: not looked at. */
  readonly type?: string;
  /** Default: header authorization, scheme Bearer. Looked at in this order. */
  readonly from?: readonly CredentialPlace[];
  /** A verified token is not verified again until it expires, or for so long, a day at most, or until its key leaves the issuer's set. Default "1h". */
  readonly cacheFor?: Duration;
}

/** Exactly one of url, file and inline. */
export interface JwksSource {
  readonly url?: string;
  readonly file?: string;
  readonly inline?: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  /** url: how long keys are kept when the answer's Cache-Control does not say. Default "10m"; what it says counts between "1m" and "1h" (or this, when it is longer). */
  readonly refresh?: Duration;
  /** url: the shortest time between two fetches because of an unknown key. Default "30s". */
  readonly cooldown?: Duration;
}

/** A condition on a claim: exactly one of equals, in, contains and exists. */
export interface ClaimMatch {
  /** "role", "realm_access.roles"; a claim whose own name has dots is found first. */
  readonly claim: string;
  readonly equals?: string | number | boolean;
  readonly in?: readonly (string | number | boolean)[];
  /** The claim is a list that has it, or a string of words parted by spaces (as `scope`) of which it is one. */
  readonly contains?: string | number | boolean;
  readonly exists?: boolean;
}

/** Keys of machines. They must be long and random (at least 128 bits): they are kept as plain SHA-256. */
export interface ApiKeySpec {
  /** Default: header x-api-key. */
  readonly from?: readonly CredentialPlace[];
  readonly consumers?: readonly ApiKeyConsumer[];
  /** More consumers: a YAML or JSON list of the same form. Read again when it changes. */
  readonly file?: string;
}

export interface ApiKeyConsumer {
  readonly name: string;
  /** SHA-256 of the key, in hex: `printf %s "$KEY" | sha256sum`. Several while a key is being changed. */
  readonly sha256: string | readonly string[];
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** HTTP Message Signatures (RFC 9421) with hmac-sha256. */
export interface HmacSpec {
  readonly keys: readonly HmacKey[];
  /** What every signature must cover. Default "@method", "@authority", "@path", "@query". */
  readonly covers?: readonly string[];
  /** How old `created` may be, and how long a nonce is remembered. Default "5m". */
  readonly maxAge?: Duration;
  /** How far clocks may differ. Default "5s". */
  readonly leeway?: Duration;
  /** False: signatures without a nonce are accepted, and may be replayed within maxAge. Default true. */
  readonly requireNonce?: boolean;
}

export interface HmacKey {
  /** The signature's `keyid`, and the subject. */
  readonly id: string;
  readonly secret: SecretRef;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Name and password (RFC 7617). Only over TLS, unless `insecure`. */
export interface BasicSpec {
  readonly users?: readonly BasicUser[];
  /** More users: a YAML or JSON list of the same form. */
  readonly file?: string;
  /** Accept passwords that came in the clear. Default false. */
  readonly insecure?: boolean;
  /** A verified password is not verified again for so long. Default "5m". */
  readonly cacheFor?: Duration;
}

export interface BasicUser {
  readonly name: string;
  /** "scrypt$N$r$p$SALT$HASH", salt and hash in base64: what `scryptHash` makes. */
  readonly password: string;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** The identity in the certificate that the peer showed: its SPIFFE id, or the subject's common name. */
export interface MtlsSpec {
  /** "shop": spiffe://shop/... Absent: every identity that the listener's authorities vouch for. */
  readonly trustDomains?: readonly string[];
  /** Patterns with "*": "spiffe://shop/ns/*". Absent: all of the trust domains. */
  readonly identities?: readonly string[];
}

/** Login at the gateway (OpenID Connect Core 1.0, authorization code with PKCE). */
export interface OidcSpec {
  readonly issuer: string;
  readonly clientId: string;
  /** Absent for public clients. */
  readonly clientSecret?: SecretRef;
  /** At least 32 bytes each (or 64 hex digits): the first encrypts cookies, all decrypt them, so that keys can be changed. */
  readonly cookieKeys: readonly SecretRef[];
  /** Beside "openid". */
  readonly scopes?: readonly string[];
  /** Must lie under a route that this is attached to. Default "/oauth2/callback". */
  readonly callbackPath?: string;
  /** Default "/oauth2/logout". */
  readonly logoutPath?: string;
  /** Where logout ends. Default "/". */
  readonly afterLogout?: string;
  /** Default "weft_session". */
  readonly cookieName?: string;
  /** How long a login lasts at most. Default "8h". */
  readonly session?: Duration;
  /** The gateway's own address as browsers see it, "https://shop.example". Default: scheme and authority of the request. */
  readonly baseUrl?: string;
}
