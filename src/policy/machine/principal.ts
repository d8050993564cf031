/** Who makes a call, as its gates established it. */
export interface Principal {
  /** The resource that vouches for it, "Authentication shop"; "" when nobody authenticated an end user. */
  readonly source: string;
  /** "jwt", "api-key", "hmac", "basic", "mtls", "oidc"; "" for nobody. */
  readonly method: string;
  /** The provider in full, "jwt:shop". */
  readonly provider: string;
  /** The user: a token's `sub`, a key's name. */
  readonly subject: string;
  readonly issuer: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

export const NOBODY: Principal = { source: "", method: "", provider: "", subject: "", issuer: "", claims: {} };
