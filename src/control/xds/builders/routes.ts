import type { RouteConfigurationSchema } from "../../../contract/gen/envoy/config/route/v3/route.ts";
import {
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RouteActionSchema,
  type RouteMatchSchema,
  type RouteSchema,
  type VirtualHostSchema,
} from "../../../contract/gen/envoy/config/route/v3/route_components.ts";
import type { MessageInitShape } from "../../../contract/runtime.ts";
import { WeftError } from "../../../core/errors.ts";
import { routeResource } from "../resource.ts";
import type { XdsResource } from "../types.ts";
import { countOf, durationOf } from "./common.ts";

export interface RouteMatchOptions {
  /** One of `prefix`, `path` and `regex` (RE2, of the whole path). */
  readonly prefix?: string;
  readonly path?: string;
  readonly regex?: string;
  readonly method?: string;
  /** Each by its exact value. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
}

export interface RouteOptions {
  /** Where calls go: one cluster, or several by weight. */
  readonly to?: string | Readonly<Record<string, number>>;
  readonly respond?: { readonly status: number; readonly body?: string };
  readonly redirect?: {
    readonly host?: string;
    readonly path?: string;
    readonly https?: boolean;
    readonly status?: 301 | 302 | 303 | 307 | 308;
  };
  /** Of the whole call. Envoy's default is 15,000; 0 is none. */
  readonly timeoutMs?: number;
  /** `on` as Envoy names it: "5xx,reset". Default "connect-failure,refused-stream,unavailable". */
  readonly retry?: { readonly attempts: number; readonly on?: string; readonly perTryTimeoutMs?: number };
  /** Replaces the matched prefix. */
  readonly rewritePrefix?: string;
  readonly rewriteHost?: string;
  readonly requestHeaders?: Readonly<Record<string, string>>;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  /** Anything else of envoy.config.route.v3.Route, laid over what the options made. */
  readonly message?: MessageInitShape<typeof RouteSchema>;
}

export type RouteInit = MessageInitShape<typeof RouteSchema>;
export type VirtualHostInit = MessageInitShape<typeof VirtualHostSchema>;

/** What is done with calls that match; `match` as a string is a prefix of the path. Throws `invalid_argument` unless it says exactly one thing to do. */
export function route(match: string | RouteMatchOptions, options: RouteOptions): RouteInit {
  const { to, respond, redirect } = options;
  const actions = [to, respond, redirect].filter((action) => action !== undefined).length;
  if (actions !== 1 && options.message?.action === undefined) {
    throw new WeftError("invalid_argument", `a route has one of to, respond and redirect, not ${actions}`, {
      reason: "BAD_ROUTE",
      place: { field: "to" },
    });
  }
  const message = {
    match: matchOf(typeof match === "string" ? { prefix: match } : match),
    ...(to !== undefined && { action: { case: "route", value: forward(to, options) } }),
    ...(respond !== undefined && {
      action: {
        case: "directResponse",
        value: {
          status: countOf(respond.status, 200, "respond.status"),
          body: { specifier: { case: "inlineString", value: respond.body ?? "" } },
        },
      },
    }),
    ...(redirect !== undefined && {
      action: {
        case: "redirect",
        value: {
          hostRedirect: redirect.host ?? "",
          ...(redirect.path !== undefined && { pathRewriteSpecifier: { case: "pathRedirect", value: redirect.path } }),
          ...(redirect.https === true && { schemeRewriteSpecifier: { case: "httpsRedirect", value: true } }),
          responseCode: REDIRECTS[redirect.status ?? 301],
        },
      },
    }),
    requestHeadersToAdd: headersOf(options.requestHeaders),
    responseHeadersToAdd: headersOf(options.responseHeaders),
    ...(options.message as object | undefined),
  };
  return message as RouteInit;
}

/** Routes for hosts: "shop.example", "*.example" or "*"; the first route that matches is taken. */
export function virtualHost(
  name: string,
  domains: readonly string[],
  routes: readonly RouteInit[],
  message: MessageInitShape<typeof VirtualHostSchema> = {},
): VirtualHostInit {
  return { name, domains: [...domains], routes: [...routes], ...(message as object) };
}

/** The routes of a listener, by name. Throws `invalid_argument` when two hosts claim a domain. */
export function routeConfiguration(
  name: string,
  virtualHosts: readonly VirtualHostInit[],
  message: MessageInitShape<typeof RouteConfigurationSchema> = {},
): XdsResource {
  const seen = new Set<string>();
  for (const domain of virtualHosts.flatMap(({ domains }) => domains ?? [])) {
    if (seen.has(domain)) {
      throw new WeftError(
        "invalid_argument",
        `route configuration "${name}": two virtual hosts have the domain "${domain}"`,
        {
          reason: "SAME_DOMAIN",
        },
      );
    }
    seen.add(domain);
  }
  return routeResource({ name, virtualHosts: [...virtualHosts], ...(message as object) });
}

function matchOf({
  prefix,
  path,
  regex,
  method,
  headers = {},
  query = {},
}: RouteMatchOptions): MessageInitShape<typeof RouteMatchSchema> {
  const given = [prefix, path, regex].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new WeftError("invalid_argument", "a match has one of prefix, path and regex", { reason: "BAD_MATCH" });
  }
  const exactly = Object.entries(method === undefined ? headers : { ":method": method, ...headers });
  return {
    pathSpecifier:
      path !== undefined
        ? { case: "path", value: path }
        : regex !== undefined
          ? { case: "safeRegex", value: { regex } }
          : { case: "prefix", value: prefix ?? "/" },
    headers: exactly.map(([name, value]) => ({
      name,
      headerMatchSpecifier: { case: "stringMatch", value: { matchPattern: { case: "exact", value } } },
    })),
    queryParameters: Object.entries(query).map(([name, value]) => ({
      name,
      queryParameterMatchSpecifier: { case: "stringMatch", value: { matchPattern: { case: "exact", value } } },
    })),
  };
}

function forward(
  to: string | Readonly<Record<string, number>>,
  options: RouteOptions,
): MessageInitShape<typeof RouteActionSchema> {
  const { timeoutMs, retry, rewritePrefix, rewriteHost } = options;
  const clusters = typeof to === "string" ? [] : Object.entries(to);
  return {
    clusterSpecifier:
      typeof to === "string"
        ? { case: "cluster", value: to }
        : {
            case: "weightedClusters",
            value: { clusters: clusters.map(([name, weight]) => ({ name, weight: countOf(weight, 0, `to.${name}`) })) },
          },
    ...(timeoutMs !== undefined && { timeout: durationOf(timeoutMs, "timeoutMs") }),
    ...(rewritePrefix !== undefined && { prefixRewrite: rewritePrefix }),
    ...(rewriteHost !== undefined && { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: rewriteHost } }),
    ...(retry !== undefined && {
      retryPolicy: {
        retryOn: retry.on ?? "connect-failure,refused-stream,unavailable",
        numRetries: countOf(retry.attempts, 1, "retry.attempts"),
        ...(retry.perTryTimeoutMs !== undefined && {
          perTryTimeout: durationOf(retry.perTryTimeoutMs, "retry.perTryTimeoutMs"),
        }),
      },
    }),
  };
}

function headersOf(headers: Readonly<Record<string, string>> = {}) {
  return Object.entries(headers).map(([key, value]) => ({ header: { key, value } }));
}

const REDIRECTS: Readonly<Record<number, RedirectCode>> = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
};
