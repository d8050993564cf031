import { isIP } from "node:net";
import { hostPort } from "../../core/address.ts";
import { spiffeId } from "../../core/identity.ts";

export interface EnvoyBootstrap {
  /** Of the control plane, or of each of several: Envoy goes to another one when its own fails. */
  readonly control: Address | readonly Address[];
  /** "gateway" for a gateway. */
  readonly service: string;
  readonly role: "gateway" | "sidecar";
  /** The instance: who it is among those of the service. */
  readonly instance: string;
  readonly version: string;
  readonly zone: string;
  /** Where calls come in: a gateway's for everybody, a sidecar's for its application. */
  readonly listen: Address | null;
  /** Where a sidecar takes its application's calls. */
  readonly outbound: Address | null;
  /** Where the application is. */
  readonly app: Address | null;
  /** Envoy's own administration interface, which shows all that is in here to whoever gets to it: an address, or a socket's file, which its owner alone can use. Null for none. */
  readonly admin: Address | SocketFile | null;
  /** Join token, which proves what it is; "" for none. */
  readonly token: string;
  /** The control plane's system and its roots (PEM), for TLS; absent: it is spoken with in plain text. */
  readonly trust?: { readonly system: string; readonly roots: string };
  readonly delta: boolean;
  /** Whether the control plane registers it while it is attached; false where somebody else does. Default true. */
  readonly register?: boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface SocketFile {
  readonly path: string;
}

/** All that a stock Envoy needs to be told; everything else it asks the control plane for. An object as Envoy's bootstrap is in JSON or YAML. */
export function envoyBootstrap(options: EnvoyBootstrap): object {
  const {
    control,
    service,
    role,
    instance,
    version,
    zone,
    listen,
    outbound,
    app,
    admin,
    token,
    trust,
    delta,
    register = true,
  } = options;
  const controls = [control].flat();
  const weft = {
    role,
    ...(version !== "" && { version }),
    ...(listen !== null && { inbound: listen.port, inboundHost: listen.host }),
    ...(outbound !== null && { outbound: outbound.port, outboundHost: outbound.host }),
    ...(app !== null && { app: hostPort(app.host, app.port) }),
    ...(!register && { register }),
  };
  const grpc = {
    envoy_grpc: {
      cluster_name: CONTROL,
      // Left to itself it comes back up to 30 s after the control plane does.
      retry_policy: { retry_back_off: { base_interval: "0.5s", max_interval: "5s" } },
    },
    ...(token !== "" && { initial_metadata: [{ key: "x-weft-join-token", value: token }] }),
  };
  const ads = { resource_api_version: "V3", ads: {} };
  return {
    node: { id: instance, cluster: service, ...(zone !== "" && { locality: { zone } }), metadata: { weft } },
    ...(admin !== null && {
      admin: { address: "path" in admin ? { pipe: { path: admin.path, mode: 0o600 } } : socket(admin) },
    }),
    dynamic_resources: {
      ads_config: {
        api_type: delta ? "DELTA_GRPC" : "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [grpc],
      },
      cds_config: ads,
      lds_config: ads,
    },
    // Regular expressions have been checked against limits of weft's own (policy/route/pattern.ts); Envoy's are tighter.
    layered_runtime: { layers: [{ name: "weft", static_layer: { "re2.max_program_size.error_level": 32_768 } }] },
    // As many connections as a listener of weft's own takes.
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            max_active_downstream_connections: MAX_CONNECTIONS,
          },
        },
      ],
    },
    cluster_manager: {
      load_stats_config: { api_type: "GRPC", transport_api_version: "V3", grpc_services: [grpc] },
    },
    static_resources: {
      clusters: [
        {
          name: CONTROL,
          type: controls.some(({ host }) => isIP(host) === 0) ? "STRICT_DNS" : "STATIC",
          connect_timeout: "2s",
          ...(trust !== undefined && { transport_socket: tls(trust) }),
          load_assignment: {
            cluster_name: CONTROL,
            endpoints: [{ lb_endpoints: controls.map((each) => ({ endpoint: { address: socket(each) } })) }],
          },
          typed_extension_protocol_options: {
            [HTTP]: {
              "@type": `type.googleapis.com/${HTTP}`,
              // A control plane that is gone without a word is noticed, and looked for again.
              explicit_http_config: {
                http2_protocol_options: { connection_keepalive: { interval: "10s", timeout: "5s" } },
              },
            },
          },
        },
      ],
    },
  };
}

/** No service has such a name. */
const CONTROL = "weft.control";
const MAX_CONNECTIONS = 20_000;
const HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Everything but the key of the control plane is known before: who it has to prove to be, and by whose word. */
function tls({ system, roots }: { readonly system: string; readonly roots: string }) {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
        alpn_protocols: ["h2"],
        validation_context: {
          trusted_ca: { inline_string: roots },
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: spiffeId(system, "control") } }],
        },
      },
    },
  };
}

function socket({ host, port }: Address) {
  return { socket_address: { address: host, port_value: port } };
}
