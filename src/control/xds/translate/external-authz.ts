import { createHash } from "node:crypto";
import { durationMs } from "../../../policy/resource/duration.ts";
import type { AuthorizationRule, ExternalSpec } from "../../../policy/security/authorization-resource.ts";
import { compact, type Document, extension, seconds, typed } from "./document.ts";
import { publicAuthorities } from "./transport.ts";

const EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3";

/** One service that decides, as a listener asks it: a filter of its own, since a route cannot name another service. */
export interface ExternalFilter {
  /** "weft.external.1f0a" */
  readonly name: string;
  /** The RBAC filter before it, that finds out whether the rule matches. */
  readonly conditionName: string;
  /** Beginning of what that filter notes. */
  readonly prefix: string;
  readonly config: Document;
}

/** `clusters` gives the cluster at which a service is reached. */
export function externalFilter(
  rule: AuthorizationRule,
  clusters: (address: string, http2: boolean, tls: boolean) => string,
): ExternalFilter {
  const spec = rule.external as ExternalSpec;
  const id = createHash("sha256").update(JSON.stringify(spec)).digest("hex").slice(0, 8);
  const prefix = `weft_external_${id}_`;
  const {
    timeout = "200ms",
    fail = "closed",
    sendHeaders = ["authorization", "cookie"],
    upstreamHeaders = [],
    downstreamHeaders = ["www-authenticate", "location", "set-cookie"],
  } = spec;
  const exact = (names: readonly string[]): Document => ({
    patterns: names.map((name) => ({ exact: name.toLowerCase(), ignore_case: true })),
  });
  const asks =
    spec.grpc !== undefined
      ? {
          grpc_service: {
            envoy_grpc: { cluster_name: clusters(spec.grpc.address, true, spec.grpc.tls === true) },
            timeout: seconds(durationMs(timeout)),
          },
        }
      : {
          http_service: httpService(spec.http?.url ?? "", timeout, clusters, upstreamHeaders, downstreamHeaders, exact),
        };
  return {
    name: `weft.external.${id}`,
    conditionName: `weft.external.${id}.when`,
    prefix,
    config: typed(
      `${EXT_AUTHZ}.ExtAuthz`,
      compact({
        ...asks,
        transport_api_version: "V3",
        failure_mode_allow: fail === "open",
        status_on_error: { code: "Forbidden" },
        allowed_headers: exact(sendHeaders),
        filter_enabled_metadata: {
          filter: "envoy.filters.http.rbac",
          path: [{ key: `${prefix}shadow_engine_result` }],
          value: { string_match: { exact: "allowed" } },
        },
      }),
    ),
  };
}

function httpService(
  url: string,
  timeout: string,
  clusters: (address: string, http2: boolean, tls: boolean) => string,
  upstreamHeaders: readonly string[],
  downstreamHeaders: readonly string[],
  exact: (names: readonly string[]) => Document,
): Document {
  const { protocol, hostname, port, pathname } = new URL(url);
  const tls = protocol === "https:";
  const address = `${hostname}:${port || (tls ? 443 : 80)}`;
  return compact({
    server_uri: { uri: url, cluster: clusters(address, false, tls), timeout: seconds(durationMs(timeout)) },
    path_prefix: pathname === "/" ? undefined : pathname.replace(/\/+$/, ""),
    authorization_response: compact({
      allowed_upstream_headers: upstreamHeaders.length === 0 ? undefined : exact(upstreamHeaders),
      allowed_client_headers: downstreamHeaders.length === 0 ? undefined : exact(downstreamHeaders),
    }),
  });
}

/** A cluster of what is no service of the system: an authorization service, an issuer's keys. */
export function outsideCluster(name: string, host: string, port: number, http2: boolean, tls: boolean): Document {
  return compact({
    name,
    type: "STRICT_DNS",
    connect_timeout: "2s",
    dns_lookup_family: "ALL",
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: host, port_value: port } }, hostname: host } },
          ],
        },
      ],
    },
    typed_extension_protocol_options: http2
      ? {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            { explicit_http_config: { http2_protocol_options: {} } },
          ),
        }
      : undefined,
    transport_socket: tls
      ? extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
          sni: host,
          auto_sni_san_validation: true,
          common_tls_context: { validation_context: { trusted_ca: { inline_string: publicAuthorities() } } },
        })
      : undefined,
  });
}
