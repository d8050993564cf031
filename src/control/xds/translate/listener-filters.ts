import type { RateLimit } from "../../../policy/resource/resources.ts";
import type { Authorization } from "../../../policy/security/authorization-resource.ts";
import { CORS } from "./cors-config.ts";
import { compact, type Document, typed } from "./document.ts";
import { type ExternalFilter, externalFilter, outsideCluster } from "./external-authz.ts";
import { FAULT } from "./fault-config.ts";
import { hopFilter } from "./hop-filter.ts";
import { JWT, JwtFilter, NOBODY, type TokenDemand } from "./jwt-config.ts";
import { limitFilterName, limitsAt, localLimit } from "./local-limit.ts";
import { bothOf, RBAC, rbacPerRoute, rbacRules, rulePrincipal } from "./rbac-config.ts";
import { SESSION } from "./session-config.ts";

const TOKEN = "weft.token";
const DENY = "weft.deny";
const ALLOW = "weft.allow";
/** Under which what audits would deny is counted, in all and by rule: "http.inbound.rbac.audit.policy.orders/exports.shadow_denied". */
const AUDIT = "audit";
const ENABLED = typed("envoy.config.route.v3.FilterConfig", { config: {} });

/**
 * The HTTP filters of one listener, collected while its routes are made. First is outermost, as in policy/machine/gates.ts; each does nothing but where a route says so.
 *
 *     cors  jwt  token  deny (and audit as shadow rules)  allow  [condition, external]...  limits  fault  session  hops  router
 */
export class ListenerFilters {
  readonly jwt: JwtFilter;
  /** What its filters ask, by name: issuers' keys, services that decide. */
  readonly clusters = new Map<string, Document>();
  readonly #role: "gateway" | "outbound" | "inbound";
  readonly #externals = new Map<string, ExternalFilter>();
  readonly #limits = new Map<string, Document>();
  readonly #used = new Set<string>();

  constructor(role: "gateway" | "outbound" | "inbound") {
    this.#role = role;
    this.jwt = new JwtFilter((url) => {
      const { protocol, hostname, port } = new URL(url);
      const tls = protocol === "https:";
      return this.#outside(hostname, Number(port) || (tls ? 443 : 80), false, tls);
    });
  }

  token({ requirement, principal }: TokenDemand): Record<string, Document> {
    const made: Record<string, Document> = {
      [JWT]: typed("envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig", { requirement_name: requirement }),
    };
    if (principal !== null) {
      this.#used.add(TOKEN);
      made[TOKEN] = rbacPerRoute({
        action: "ALLOW",
        policies: { token: { permissions: [{ any: true }], principals: [principal] } },
      });
    }
    return made;
  }

  /** Rules of several sets: calls have to pass each. */
  authorization(
    sets: readonly { readonly attached: readonly Authorization[]; readonly services: readonly string[] }[],
    providers: readonly string[],
  ): Record<string, Document> {
    const made: Record<string, Document> = {};
    const denied: Record<string, Document> = {};
    const audited: Record<string, Document> = {};
    let allow: Document | null = null;
    for (const { attached, services } of sets) {
      const context = { services, providers };
      Object.assign(denied, rbacRules("DENY", attached, "deny", context)?.policies);
      Object.assign(audited, rbacRules("DENY", attached, "audit", context)?.policies);
      const closed = attached.some(
        ({ spec }) => spec.default === "deny" || spec.rules?.some(({ action }) => action === "allow"),
      );
      if (closed) {
        const rules = rbacRules("ALLOW", attached, "allow", context) ?? CLOSED;
        allow = allow === null ? rules : (bothOf(allow, rules) ?? CLOSED);
      }
      for (const { spec } of attached) {
        for (const rule of spec.rules ?? []) {
          if (rule.action !== "external") continue;
          const principal = rulePrincipal(rule, context);
          if (principal === NOBODY) continue;
          const filter = externalFilter(rule, (address, http2, tls) => {
            const at = address.lastIndexOf(":");
            return this.#outside(
              address.slice(0, at).replace(/^\[|\]$/g, ""),
              Number(address.slice(at + 1)),
              http2,
              tls,
            );
          });
          this.#externals.set(filter.name, filter);
          const shadow = {
            action: "ALLOW",
            policies: { when: { permissions: [{ any: true }], principals: [principal] } },
          };
          made[filter.conditionName] = rbacPerRoute(null, shadow, filter.prefix);
          made[filter.name] = ENABLED;
        }
      }
    }
    const deny = Object.keys(denied).length === 0 ? null : { action: "DENY", policies: denied };
    const shadow = Object.keys(audited).length === 0 ? null : { action: "DENY", policies: audited };
    if (deny !== null || shadow !== null) {
      this.#used.add(DENY);
      made[DENY] = rbacPerRoute(deny, shadow, shadow === null ? "" : AUDIT, shadow !== null);
    }
    if (allow !== null) {
      this.#used.add(ALLOW);
      made[ALLOW] = rbacPerRoute(allow);
    }
    return made;
  }

  limit(limit: RateLimit, providers: readonly string[]): Record<string, Document> {
    if (!limitsAt(this.#role, limit)) return {};
    const name = limitFilterName(limit);
    if (!this.#limits.has(name)) {
      const config = localLimit(limit, providers);
      if (config === null) return {};
      this.#limits.set(name, config);
    }
    return { [name]: ENABLED };
  }

  /** HttpConnectionManager.http_filters. `believed`: callers have proved that they are of the system, or are the application itself. */
  httpFilters(believed = this.#role === "outbound"): Document[] {
    const jwt = this.jwt.config();
    const filters: Document[] = [filter(CORS, typed("envoy.extensions.filters.http.cors.v3.Cors"))];
    if (jwt !== null) filters.push(filter(JWT, jwt));
    for (const name of [TOKEN, DENY, ALLOW])
      if (this.#used.has(name))
        filters.push(filter(name, typed(RBAC, name === DENY ? { shadow_rules_stat_prefix: AUDIT } : {})));
    for (const { name, conditionName, config } of this.#externals.values()) {
      filters.push(filter(conditionName, typed(RBAC)), filter(name, config, true));
    }
    for (const [name, config] of this.#limits) filters.push(filter(name, config, true));
    if (this.#role !== "inbound") {
      filters.push(filter(FAULT, typed("envoy.extensions.filters.http.fault.v3.HTTPFault")));
      filters.push(filter(SESSION, typed("envoy.extensions.filters.http.stateful_session.v3.StatefulSession"), false));
    }
    if (!believed) {
      const { name, config } = hopFilter();
      filters.push(filter(name, config));
    }
    filters.push(
      filter(
        "envoy.filters.http.router",
        typed("envoy.extensions.filters.http.router.v3.Router", { suppress_envoy_headers: true }),
      ),
    );
    return filters;
  }

  #outside(host: string, port: number, http2: boolean, tls: boolean): string {
    const name = `outside/${host}:${port}${http2 ? "/h2" : ""}${tls ? "/tls" : ""}`;
    if (!this.clusters.has(name)) this.clusters.set(name, outsideCluster(name, host, port, http2, tls));
    return name;
  }
}

/** Nobody. */
const CLOSED: Document = {
  action: "ALLOW",
  policies: { nobody: { permissions: [{ any: true }], principals: [NOBODY] } },
};

function filter(name: string, config: Document, disabled?: boolean): Document {
  return compact({ name, typed_config: config, disabled: disabled === true ? true : undefined });
}
