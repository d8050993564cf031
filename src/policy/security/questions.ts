import type { ApiKeyConsumer, BasicUser, JwksSource, OidcSpec, SecretRef } from "./authentication-resource.ts";
import type { ExternalSpec } from "./authorization-resource.ts";

/* What security asks the outside: Query.about by kind, and the answers. Null for an answer: it could not be had. */

/** kind "token": is the signature of a compact JWS right? Its claims are judged by whoever asks. */
export interface TokenQuestion {
  readonly token: string;
  readonly algorithm: string;
  /** "" when the token names none. */
  readonly keyId: string;
  readonly keys: { readonly jwks: JwksSource } | { readonly secret: SecretRef };
}

export interface TokenAnswer {
  readonly verified: boolean;
  /** Why not, for people: "no key of https://... has the id k2". */
  readonly problem: string;
  /** The key that verified it, where its issuer may take it back. */
  readonly key?: KeyState;
}

/** A public key of an issuer's, for as long as anybody remembers what it verified. */
export interface KeyState {
  /** The issuer's set does not have it any more: what it verified is no longer good. */
  readonly gone: boolean;
}

/** kind "secret" */
export type SecretQuestion =
  | { readonly type: "api-key"; readonly file: string; readonly sha256: string }
  | { readonly type: "hmac"; readonly secret: SecretRef; readonly base: string; readonly signature: Uint8Array }
  | {
      readonly type: "basic";
      readonly users: readonly BasicUser[];
      readonly file: string | null;
      readonly name: string;
      readonly password: string;
    };

export interface SecretAnswer {
  /** Who it is; null: nobody with this secret. */
  readonly consumer: Pick<ApiKeyConsumer, "name" | "claims"> | null;
}

/** kind "session" */
export type SessionQuestion = { readonly oidc: OidcSpec; readonly label: string } & (
  | { readonly type: "open"; readonly cookie: string }
  /** `redirectUri` is where the provider sends the browser; `returnTo` where it wanted to go. */
  | { readonly type: "login"; readonly redirectUri: string; readonly returnTo: string; readonly secure: boolean }
  | {
      readonly type: "callback";
      readonly redirectUri: string;
      readonly query: string;
      readonly stateCookie: string;
      readonly secure: boolean;
    }
  | { readonly type: "logout"; readonly cookie: string; readonly afterLogout: string; readonly secure: boolean }
);

export interface SessionAnswer {
  /** The login's claims; null: none, or no longer. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** Epoch ms until which `claims` may be believed without asking again. */
  readonly freshUntil: number;
  /** Where to send the browser; "" when nowhere. */
  readonly location: string;
  readonly setCookies: readonly string[];
  /** What was wrong; "" when nothing was. */
  readonly problem: string;
}

/** kind "external-authorization" */
export interface ExternalQuestion {
  readonly external: ExternalSpec;
  readonly timeoutMs: number;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  /** With its query. */
  readonly path: string;
  /** Only those that the policy names; flat. */
  readonly fields: readonly string[];
  readonly peerAddress: string;
  readonly peerIdentity: string;
  readonly requestId: string;
  readonly service: string;
  readonly subject: string;
}

export interface ExternalAnswer {
  readonly allowed: boolean;
  /** HTTP status for the caller when it denies. */
  readonly status: number;
  /** Flat, lower-case: for the request when it allows, for the caller when it denies. */
  readonly fields: readonly string[];
  readonly removeFields: readonly string[];
  /** For the caller when it denies. */
  readonly body: Uint8Array | null;
  readonly message: string;
}
