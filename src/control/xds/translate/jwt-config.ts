import { durationMs } from "../../../policy/resource/duration.ts";
import { mostSpecific } from "../../../policy/security/authenticate-gate.ts";
import type {
  Authentication,
  AuthenticationProvider,
  ClaimMatch,
  JwtSpec,
} from "../../../policy/security/authentication-resource.ts";
import { findProvider, providerLabel } from "../../../policy/security/providers.ts";
import { compact, type Document, quoted, seconds, typed } from "./document.ts";
import type { Attachments } from "./mesh-model.ts";

export const JWT = "envoy.filters.http.jwt_authn";
const JWT_CONFIG = "envoy.extensions.filters.http.jwt_authn.v3";

/** What a route asks of its callers' tokens. */
export interface TokenDemand {
  /** Requirements in the listener's filter, by name. */
  readonly requirement: string;
  /** Providers whose tokens are taken, "jwt:shop". */
  readonly providers: readonly string[];
  /** Principals (config.rbac.v3) one of which a caller must be; null where verification says all. */
  readonly principal: Document | null;
  /** Nothing that Envoy can judge would let anybody in. */
  readonly closed: boolean;
}

/** The providers and requirements of one listener, as far as its routes need them. */
export class JwtFilter {
  readonly #providers = new Map<string, Document>();
  readonly #requirements = new Map<string, Document>();
  readonly #clusters: (url: string) => string;

  /** `clusters` gives the cluster that a key set is fetched from. */
  constructor(clusters: (url: string) => string) {
    this.#clusters = clusters;
  }

  /** Null where nobody's token is looked at. What only weft can verify lets nobody in here. */
  demand(at: Attachments): TokenDemand | null {
    const sets = mostSpecific(at)
      .map((attached) => attached.filter(({ spec }) => (spec.at ?? ["gateway"]).includes(at.place as "gateway")))
      .filter((attached) => attached.length > 0);
    if (sets.length === 0) return null;
    const demands = sets.map((attached) => this.#demandOf(attached, at));
    if (demands.some(({ closed }) => closed)) return { requirement: "", providers: [], principal: null, closed: true };
    const requirements = demands.map(({ requirement }) => requirement);
    const requirement = requirements.length === 1 ? requirements[0] : { requires_all: { requirements } };
    const principals = demands.flatMap(({ principal }) => (principal === null ? [] : [principal]));
    const name = this.#nameOf(requirement);
    return {
      requirement: name,
      providers: [...new Set(demands.flatMap(({ providers }) => providers))],
      principal:
        principals.length === 0 ? null : principals.length === 1 ? principals[0] : { and_ids: { ids: principals } },
      closed: false,
    };
  }

  /** The filter's configuration; null while no route demands anything. */
  config(): Document | null {
    if (this.#requirements.size === 0) return null;
    return typed(`${JWT_CONFIG}.JwtAuthentication`, {
      providers: Object.fromEntries(this.#providers),
      requirement_map: Object.fromEntries(this.#requirements),
    });
  }

  #demandOf(
    attached: readonly Authentication[],
    at: Attachments,
  ): Omit<TokenDemand, "requirement"> & { requirement: Document } {
    const providers: string[] = [];
    const principals: Document[] = [];
    let checks = false;
    for (const resource of attached) {
      for (const written of resource.spec.providers) {
        const found =
          written.use === undefined
            ? { provider: written, resource }
            : findProvider(written.use, at.all("Authentication"));
        if (found === null) continue;
        const label = providerLabel(found.provider, found.resource.metadata.name);
        const { jwt } = found.provider;
        if (jwt === undefined || jwt.secret !== undefined) continue;
        const name = this.#provider(label, jwt, { ...found.provider, ...written, jwt });
        if (providers.includes(name)) continue;
        providers.push(name);
        const conditions = tokenConditions(name, jwt);
        if (conditions.length > 1) checks = true;
        principals.push(conditions.length === 1 ? conditions[0] : { and_ids: { ids: conditions } });
      }
    }
    const optional = attached.every(({ spec }) => spec.optional === true);
    const anyOf: Document[] = providers.map((name) => ({ provider_name: name }));
    if (optional) anyOf.push({ allow_missing: {} });
    if (optional && checks) principals.push({ not_id: anyToken(providers) });
    return {
      requirement: anyOf.length === 1 ? anyOf[0] : { requires_any: { requirements: anyOf } },
      providers,
      principal: checks ? { or_ids: { ids: principals } } : null,
      closed: providers.length === 0 && !optional,
    };
  }

  #provider(label: string, jwt: JwtSpec, { claimHeaders = [], forwardToken = true }: AuthenticationProvider): string {
    const { issuer, audiences, jwks, leeway = "5s", from, requireExpiry = true } = jwt;
    const places = from ?? [{ header: "authorization", scheme: "Bearer" }];
    const config = compact({
      issuer,
      audiences,
      ...(jwks?.url !== undefined
        ? {
            remote_jwks: {
              http_uri: { uri: jwks.url, cluster: this.#clusters(jwks.url), timeout: "5s" },
              cache_duration: seconds(durationMs(jwks.refresh ?? "10m")),
              async_fetch: { failed_refetch_duration: seconds(durationMs(jwks.cooldown ?? "30s")) },
            },
          }
        : {
            local_jwks:
              jwks?.file !== undefined
                ? { filename: jwks.file }
                : { inline_string: JSON.stringify(jwks?.inline ?? { keys: [] }) },
          }),
      forward: forwardToken,
      from_headers: places.flatMap(({ header, scheme }) =>
        header === undefined ? [] : [{ name: header, value_prefix: scheme === undefined ? "" : `${scheme} ` }],
      ),
      from_cookies: places.flatMap(({ cookie }) => (cookie === undefined ? [] : [cookie])),
      from_params: places.flatMap(({ query }) => (query === undefined ? [] : [query])),
      payload_in_metadata: label,
      header_in_metadata: `${label}#header`,
      clock_skew_seconds: Math.max(1, Math.ceil(durationMs(leeway) / 1000)),
      require_expiration: requireExpiry ? true : undefined,
      claim_to_headers:
        claimHeaders.length === 0
          ? undefined
          : claimHeaders.map(({ header, claim }) => ({ header_name: header, claim_name: claim })),
    });
    let name = label;
    for (
      let n = 2;
      this.#providers.has(name) && JSON.stringify(this.#providers.get(name)) !== JSON.stringify(config);
      n++
    )
      name = `${label}~${n}`;
    this.#providers.set(
      name,
      name === label ? config : { ...config, payload_in_metadata: name, header_in_metadata: `${name}#header` },
    );
    return name;
  }

  #nameOf(requirement: Document): string {
    const text = JSON.stringify(requirement);
    for (const [name, known] of this.#requirements) if (JSON.stringify(known) === text) return name;
    const name = `r${this.#requirements.size}`;
    this.#requirements.set(name, requirement);
    return name;
  }
}

/** What a provider asks of tokens that it has verified, as principals; the first is that there is one. */
function tokenConditions(provider: string, { requiredClaims = [], algorithms, type }: JwtSpec): Document[] {
  const conditions: Document[] = [anyToken([provider])];
  for (const claim of requiredClaims) conditions.push(claimPrincipal([provider], claim));
  if (algorithms !== undefined) {
    conditions.push(
      anyOfIds(
        algorithms.map((algorithm) => metadata(`${provider}#header`, ["alg"], { string_match: { exact: algorithm } })),
      ),
    );
  }
  if (type !== undefined)
    conditions.push(metadata(`${provider}#header`, ["typ"], { string_match: { exact: type, ignore_case: true } }));
  return conditions;
}

/** A token of one of these providers was verified. */
export function anyToken(providers: readonly string[]): Document {
  return anyOfIds(providers.map((provider) => metadata(provider, ["iss"], { present_match: true })));
}

/** A text of the token of whoever of these providers verified one: sub, iss. */
export function tokenText(providers: readonly string[], claim: string, patterns: readonly Document[]): Document {
  return anyOfIds(
    providers.flatMap((provider) => patterns.map((pattern) => metadata(provider, [claim], { string_match: pattern }))),
  );
}

export function claimPrincipal(providers: readonly string[], match: ClaimMatch): Document {
  const { claim } = match;
  const paths = claim.includes(".") ? [[claim], claim.split(".")] : [[claim]];
  const anyWhere = (value: Document): Document =>
    anyOfIds(providers.flatMap((provider) => paths.map((path) => metadata(provider, path, value))));
  if (match.exists !== undefined) {
    const there = anyWhere({ present_match: true });
    return match.exists ? there : { and_ids: { ids: [anyToken(providers), { not_id: there }] } };
  }
  if (match.in !== undefined) return anyOfIds(match.in.map((value) => anyWhere(valueMatch(value))));
  if (match.equals !== undefined) return anyWhere(valueMatch(match.equals));
  const wanted = match.contains as string | number | boolean;
  const listed = anyWhere({ list_match: { one_of: valueMatch(wanted) } });
  if (typeof wanted !== "string") return listed;
  const word = anyWhere({ string_match: { safe_regex: { regex: `(?:.* )?${quoted(wanted)}(?: .*)?` } } });
  return anyOfIds([listed, word]);
}

function valueMatch(value: string | number | boolean): Document {
  if (typeof value === "string") return { string_match: { exact: value } };
  return typeof value === "number" ? { double_match: { exact: value } } : { bool_match: value };
}

function metadata(provider: string, path: readonly string[], value: Document): Document {
  return {
    sourced_metadata: { metadata_matcher: { filter: JWT, path: [provider, ...path].map((key) => ({ key })), value } },
  };
}

/** Nobody, for an empty list: RBAC has no other word for it. */
export function anyOfIds(ids: readonly Document[]): Document {
  if (ids.length === 1) return ids[0];
  return ids.length === 0 ? NOBODY : { or_ids: { ids } };
}

export const NOBODY: Document = { not_id: { any: true } };
