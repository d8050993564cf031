import type { MutualTls } from "../../../core/identity.ts";
import { ADS } from "./cluster.ts";
import { compact, type Document, extension, typed } from "./document.ts";
import { localReplies } from "./local-replies.ts";
import { downstreamTls } from "./transport.ts";

const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

export interface ListenerParts {
  /** Its own name and that of its route configuration. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly filters: readonly Document[];
}

/** A listener in the clear: a gateway, or the outbound side of a sidecar (which takes absolute targets, as HTTP proxies do). */
export function plainListener({ name, host, port, filters }: ListenerParts): Document {
  return {
    name,
    address: address(host, port),
    filter_chains: [{ filters: [manager(name, filters)] }],
  };
}

/** The inbound side of a sidecar. What comes over TLS has shown a certificate of the own system; strict takes nothing else. `proven`: the filters for calls of such, in place of those of anybody. */
export function inboundListener(
  { name, host, port, filters }: ListenerParts,
  proven: readonly Document[],
  system: string,
  mode: MutualTls,
): Document {
  const anybody = [manager(name, filters, true)];
  // By it Envoy knows which listeners drain while the application's own calls go on.
  const own = { name, address: address(host, port), traffic_direction: "INBOUND", access_log: [REFUSED] };
  if (mode === "off") return { ...own, filter_chains: [{ filters: anybody }] };
  const secure = {
    name: "mesh",
    filter_chain_match: { transport_protocol: "tls" },
    transport_socket: downstreamTls(system, ["h2", "http/1.1"]),
    filters: [manager(name, proven, true)],
  };
  const plain = { name: "plain", filter_chain_match: { transport_protocol: "raw_buffer" }, filters: anybody };
  return {
    ...own,
    listener_filters: [
      extension(
        "envoy.filters.listener.tls_inspector",
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
      ),
    ],
    filter_chains: mode === "strict" ? [secure] : [secure, plain],
  };
}

/**
 * Who is not let in, with the reason, on Envoy's standard error: a certificate that is none of the system's, or plain text where the service is strict. Envoy counts such
 * connections by itself, and says nothing.
 */
const REFUSED: Document = {
  name: "stderr",
  filter: {
    extension_filter: extension("cel", "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", {
      expression: "connection.transport_failure_reason != '' || response.code_details == 'filter_chain_not_found'",
    }),
  },
  typed_config: typed("envoy.extensions.access_loggers.stream.v3.StderrAccessLog", {
    log_format: {
      text_format_source: {
        inline_string:
          "%START_TIME% refused %DOWNSTREAM_REMOTE_ADDRESS%: %DOWNSTREAM_TRANSPORT_FAILURE_REASON% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_PEER_URI_SAN%\n",
      },
      omit_empty_values: true,
    },
  }),
};

/** What a gRPC client asks for by the name that it dials. */
export function clientListener(name: string, routes: string, filters: readonly Document[]): Document {
  return {
    name,
    api_listener: {
      api_listener: typed(HCM, { rds: { config_source: ADS, route_config_name: routes }, http_filters: filters }),
    },
  };
}

function manager(routes: string, filters: readonly Document[], inbound = false): Document {
  return extension(
    "envoy.filters.network.http_connection_manager",
    HCM,
    compact({
      stat_prefix: routes.replace(/[^\w]/g, "_"),
      codec_type: "AUTO",
      rds: { config_source: ADS, route_config_name: routes },
      http_filters: filters,
      // Nobody is believed to be of the own house: what callers say in x-envoy-* fields has no effect.
      use_remote_address: true,
      internal_address_config: { unix_sockets: false },
      normalize_path: true,
      merge_slashes: true,
      stream_idle_timeout: "0s",
      upgrade_configs: [{ upgrade_type: "websocket" }],
      server_header_transformation: "PASS_THROUGH",
      forward_client_cert_details: inbound ? "SANITIZE_SET" : undefined,
      set_current_client_cert_details: inbound ? { uri: true } : undefined,
      local_reply_config: localReplies(inbound),
    }),
  );
}

function address(host: string, port: number): Document {
  return { socket_address: { address: host, port_value: port } };
}
