/** What a gate asks the outside, by an effect; carried out by call/ and what it is given (CarrierOptions.query). */
export interface Query {
  readonly kind: QueryKind;
  /** What it is about, unique among queries of a kind that would be answered alike. */
  readonly key: string;
  /** What the one who answers needs, by kind. */
  readonly about: unknown;
}

/**
 *     shared-limit             take from a limit that the whole system shares
 *     token                    verify a token's signature
 *     secret                   verify an API key, a password or a signature whose secret is outside
 *     external-authorization   ask a service
 *     session                  a login at the gateway
 */
export type QueryKind = "shared-limit" | "token" | "secret" | "external-authorization" | "session";
