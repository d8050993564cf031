import { type TargetInput, targetOf } from "../resource/builder-parts.ts";
import { type Resource, type TargetRef, WEFT_API } from "../resource/resources.ts";
import type {
  ApiKeySpec,
  AuthenticationProvider,
  BasicSpec,
  EnforcedAt,
  HmacSpec,
  JwtSpec,
  MtlsSpec,
  OidcSpec,
} from "./authentication-resource.ts";

/** What every provider may say beside its own. */
export type ProviderOptions = Pick<AuthenticationProvider, "name" | "claimHeaders" | "forwardToken">;

/**
 * Makes an Authentication. Every method gives a new builder and leaves the old one as it was.
 *
 *     authentication("shop").jwt({ issuer: "https://id.shop.example", jwks: { url: "https://id.shop.example/keys" } })
 *
 * As it is, it holds for the whole system and asks nobody for anything: a credential that is shown is checked. `on` says for which calls one is required;
 * `route(...).require("jwt:shop")` says it for a route.
 */
export interface AuthenticationBuilder {
  jwt(spec: JwtSpec, options?: ProviderOptions): AuthenticationBuilder;
  apiKey(spec: ApiKeySpec, options?: ProviderOptions): AuthenticationBuilder;
  hmac(spec: HmacSpec, options?: ProviderOptions): AuthenticationBuilder;
  basic(spec: BasicSpec, options?: ProviderOptions): AuthenticationBuilder;
  mtls(spec?: MtlsSpec, options?: ProviderOptions): AuthenticationBuilder;
  oidc(spec: OidcSpec, options?: ProviderOptions): AuthenticationBuilder;
  /** Another Authentication's provider: "jwt:shop". */
  use(provider: string, options?: ProviderOptions): AuthenticationBuilder;
  /** Required for a service, a method ("a.B/C"), the system ("*"), or a target in full. */
  on(...targets: TargetInput[]): AuthenticationBuilder;
  /** Callers without a credential pass as nobody. */
  optional(): AuthenticationBuilder;
  at(...places: EnforcedAt[]): AuthenticationBuilder;
  resources(): readonly Resource[];
}

export function authentication(name: string): AuthenticationBuilder {
  return make({ name, targetRefs: null, providers: [], optional: false, at: null });
}

interface Parts {
  readonly name: string;
  readonly targetRefs: readonly TargetRef[] | null;
  readonly providers: readonly AuthenticationProvider[];
  readonly optional: boolean;
  readonly at: readonly EnforcedAt[] | null;
}

function make(parts: Parts): AuthenticationBuilder {
  const change = (changes: Partial<Parts>): AuthenticationBuilder => make({ ...parts, ...changes });
  const add = (provider: AuthenticationProvider): AuthenticationBuilder =>
    change({ providers: [...parts.providers, provider] });
  return {
    jwt: (jwt, options) => add({ ...options, jwt }),
    apiKey: (apiKey, options) => add({ ...options, apiKey }),
    hmac: (hmac, options) => add({ ...options, hmac }),
    basic: (basic, options) => add({ ...options, basic }),
    mtls: (mtls = {}, options) => add({ ...options, mtls }),
    oidc: (oidc, options) => add({ ...options, oidc }),
    use: (use, options) => add({ ...options, use }),
    on: (...targets) => change({ targetRefs: [...(parts.targetRefs ?? []), ...targets.map(targetOf)] }),
    optional: () => change({ optional: true }),
    at: (...places) => change({ at: places }),
    resources: () => [resourceOf(parts)],
  };
}

function resourceOf({ name, targetRefs, providers, optional, at }: Parts): Resource {
  return {
    apiVersion: WEFT_API,
    kind: "Authentication",
    metadata: { name },
    spec: {
      ...(targetRefs === null ? {} : { targetRefs }),
      providers,
      ...(optional || targetRefs === null ? { optional: true } : {}),
      ...(at === null ? {} : { at }),
    },
  };
}
