import { ApiKeyProvider } from "./api-key-provider.ts";
import type { Authentication, AuthenticationProvider } from "./authentication-resource.ts";
import { BasicProvider } from "./basic-provider.ts";
import { HmacProvider } from "./hmac-provider.ts";
import { JwtProvider } from "./jwt-provider.ts";
import { MtlsProvider } from "./mtls-provider.ts";
import { OidcProvider } from "./oidc-provider.ts";
import type { Provider } from "./provider.ts";

/** What providers are called in rules and explanations, by the field that describes them. */
const PROVIDER_KINDS = {
  jwt: "jwt",
  apiKey: "api-key",
  hmac: "hmac",
  basic: "basic",
  mtls: "mtls",
  oidc: "oidc",
} as const;
export type ProviderKind = keyof typeof PROVIDER_KINDS;
export const PROVIDER_FIELDS = Object.keys(PROVIDER_KINDS) as readonly ProviderKind[];

/** "jwt:shop"; of a provider that uses another, that one's. */
export function providerLabel(provider: AuthenticationProvider, resource: string): string {
  if (provider.use !== undefined) return provider.use;
  const field = PROVIDER_FIELDS.find((kind) => provider[kind] !== undefined);
  return `${field === undefined ? "none" : PROVIDER_KINDS[field]}:${provider.name ?? resource}`;
}

/** The provider that "jwt:shop" names, and the resource that it is of. */
export function findProvider(
  label: string,
  all: Iterable<Authentication>,
): { readonly provider: AuthenticationProvider; readonly resource: Authentication } | null {
  for (const resource of all) {
    for (const provider of resource.spec.providers) {
      if (provider.use === undefined && providerLabel(provider, resource.metadata.name) === label) {
        return { provider, resource };
      }
    }
  }
  return null;
}

/** `spec` uses no other. */
export function createProvider(spec: AuthenticationProvider, resource: string): Provider {
  const label = providerLabel(spec, resource);
  const source = `Authentication ${resource}`;
  const forward = spec.forwardToken;
  if (spec.jwt !== undefined) return new JwtProvider(label, source, spec.jwt, forward ?? true);
  if (spec.apiKey !== undefined) return new ApiKeyProvider(label, source, spec.apiKey, forward ?? false);
  if (spec.hmac !== undefined) return new HmacProvider(label, source, spec.hmac, forward ?? true);
  if (spec.basic !== undefined) return new BasicProvider(label, source, spec.basic, forward ?? false);
  if (spec.mtls !== undefined) return new MtlsProvider(label, source, spec.mtls);
  if (spec.oidc !== undefined) return new OidcProvider(label, source, spec.oidc, forward ?? false);
  throw new TypeError(`the provider ${label} is of no kind`); // validation has seen to it
}
