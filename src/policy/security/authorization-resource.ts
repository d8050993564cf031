import type { Duration, Metadata, TargetRef, WEFT_API } from "../resource/resources.ts";
import type { ClaimMatch, EnforcedAt } from "./authentication-resource.ts";

/**
 * Who may do what. All that are attached to a call, at whatever level, count together: a deny rule that matches denies; else, when there is any allow rule (or
 * a `default: deny`), one must match; then every external rule that matches must agree. Audit rules only leave a note.
 */
export interface Authorization {
  readonly apiVersion: typeof WEFT_API;
  readonly kind: "Authorization";
  readonly metadata: Metadata;
  readonly spec: AuthorizationSpec;
}

export interface AuthorizationSpec {
  readonly targetRefs?: readonly TargetRef[];
  /** What becomes of calls that no allow rule matches: "deny" also when there is no allow rule at all. Default: "deny" as soon as there is one. */
  readonly default?: "deny";
  readonly rules?: readonly AuthorizationRule[];
  /** Default: gateway and server; a policy that names end users at the server only where an Authentication is enforced there. */
  readonly at?: readonly EnforcedAt[];
}

/** All conditions of a rule hold together; of a condition's values any suffices. A rule without conditions matches every call. */
export interface AuthorizationRule {
  /** For explanations; default its number. */
  readonly name?: string;
  readonly action: "allow" | "deny" | "audit" | "external";
  /** Identities of the connected peer, with "*": "spiffe://shop/orders". */
  readonly peers?: readonly string[];
  /** Providers that established the caller: "jwt:shop"; "*" for any. */
  readonly authenticatedBy?: readonly string[];
  /** The caller's subject: a token's sub, a key's name. With "*". */
  readonly subjects?: readonly string[];
  readonly issuers?: readonly string[];
  /** All of them must hold. */
  readonly claims?: readonly ClaimMatch[];
  readonly services?: readonly string[];
  /** "GET", or of gRPC "shop.v1.Orders/Place", "shop.v1.Orders/*". */
  readonly methods?: readonly string[];
  /** Of the request as it was sent, without its query: "/v1/orders", "/v1/orders/*" (with all below), "*.json". */
  readonly paths?: readonly string[];
  /** "shop.example", "*.shop.example". */
  readonly hosts?: readonly string[];
  /** Of the peer's address: "10.0.0.0/8", "fd00::/8", "192.0.2.7". */
  readonly networks?: readonly string[];
  /** All of them must hold. */
  readonly headers?: readonly HeaderMatch[];
  /** A condition in CEL over request, peer, principal and now. */
  readonly when?: string;
  /** action external: whom to ask. */
  readonly external?: ExternalSpec;
}

/** A condition on a header field: exactly one of equals, in, prefix, contains and exists. */
export interface HeaderMatch {
  readonly name: string;
  readonly equals?: string;
  readonly in?: readonly string[];
  readonly prefix?: string;
  readonly contains?: string;
  readonly exists?: boolean;
}

/** A service that decides: exactly one of http and grpc. */
export interface ExternalSpec {
  readonly http?: ExternalHttp;
  /** "host:port" of an envoy.service.auth.v3.Authorization. */
  readonly grpc?: { readonly address: string; readonly tls?: boolean };
  /** Default "200ms". */
  readonly timeout?: Duration;
  /** What to do when there is no answer: "closed" (default) denies, "open" lets pass. */
  readonly fail?: "closed" | "open";
  /** Answers are used again for calls that look the same in everything that is sent. Default: never. */
  readonly cacheFor?: Duration;
  /** Request fields that are sent. Default: authorization and cookie. */
  readonly sendHeaders?: readonly string[];
  /** Of an answer that allows, fields that the request gets; what came under these names is taken out. Default none. */
  readonly upstreamHeaders?: readonly string[];
  /** Of an answer that denies, fields that the caller gets. Default: www-authenticate, location, set-cookie. */
  readonly downstreamHeaders?: readonly string[];
}

export interface ExternalHttp {
  /** "http://authz.internal:9000" or with a path, to which the request's path is added. */
  readonly url: string;
}
