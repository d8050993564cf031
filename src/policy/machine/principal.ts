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
  readonly claims: Claims;
}

export type Claims = Readonly<Record<string, unknown>>;

export const NOBODY: Principal = { source: "", method: "", provider: "", subject: "", issuer: "", claims: {} };

/** A claim by its name, or by a path through objects: "realm_access.roles". A claim whose own name has dots is found first. */
export function claimOf(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  if (!path.includes(".")) return undefined;
  let value: unknown = claims;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}
