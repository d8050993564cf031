import type { ListenerSchema } from "../../../contract/gen/envoy/config/listener/v3/listener.ts";
import type { FilterChainSchema } from "../../../contract/gen/envoy/config/listener/v3/listener_components.ts";
import { StdoutAccessLogSchema } from "../../../contract/gen/envoy/extensions/access_loggers/stream/v3/stream.ts";
import { RouterSchema } from "../../../contract/gen/envoy/extensions/filters/http/router/v3/router.ts";
import {
  type HttpConnectionManagerSchema,
  HttpConnectionManagerSchema as ManagerSchema,
} from "../../../contract/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts";
import { TcpProxySchema } from "../../../contract/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.ts";
import { DownstreamTlsContextSchema } from "../../../contract/gen/envoy/extensions/transport_sockets/tls/v3/tls.ts";
import type { MessageInitShape } from "../../../contract/runtime.ts";
import { WeftError } from "../../../core/errors.ts";
import { type AnyInit, listenerResource, packAny } from "../resource.ts";
import type { XdsResource } from "../types.ts";
import { ADS, hostPortOf, socketAddress } from "./common.ts";

export interface ListenerOptions {
  /** "0.0.0.0:8080". Not for a gRPC client. */
  readonly address?: string;
  /** No port, but what a gRPC client goes by that calls `xds:///NAME`, NAME being the listener's. Default false. */
  readonly grpcClient?: boolean;
  /** HTTP: the name of the route configuration. */
  readonly routes?: string;
  /** Any bytes: the cluster that they go to. One of `routes` and `tcp`. */
  readonly tcp?: string;
  readonly tls?: {
    /** Name of the secret with the certificate. */
    readonly certificate: string;
    /** Name of the secret with the authorities that clients' certificates must come from; without it none is asked for. */
    readonly clientTrust?: string;
  };
  /** HTTP filters before the router, by their names; `pack` makes their configuration. */
  readonly filters?: Readonly<Record<string, AnyInit>>;
  /** Upgrades that are passed on. Default ["websocket"]. */
  readonly upgrades?: readonly string[];
  /** A line a call on the data plane's standard output. Default false. */
  readonly accessLog?: boolean;
  /** Anything else of the HTTP connection manager, laid over what the options made. */
  readonly http?: MessageInitShape<typeof HttpConnectionManagerSchema>;
  /** Anything else of envoy.config.listener.v3.Listener, laid over what the options made. */
  readonly message?: MessageInitShape<typeof ListenerSchema>;
}

/** A port, and what is done with what comes in there. Throws `invalid_argument` that names the option. */
export function listener(name: string, options: ListenerOptions): XdsResource {
  const { address, routes, tcp, tls, grpcClient = false } = options;
  const wrong = (field: string, message: string) =>
    new WeftError("invalid_argument", `listener "${name}" ${message}`, { reason: "BAD_LISTENER", place: { field } });
  if ((routes === undefined) === (tcp === undefined)) throw wrong("routes", "has one of routes and tcp");
  if (grpcClient) {
    if (address !== undefined || tls !== undefined || routes === undefined)
      throw wrong("grpcClient", "is for gRPC clients: it has routes, and neither address nor tls");
    const message = options.message as object | undefined;
    return listenerResource({
      name,
      apiListener: { apiListener: manager(name, routes, { upgrades: [], ...options }) },
      ...message,
    });
  }
  if (address === undefined) throw wrong("address", "has no address");
  const filter =
    tcp === undefined ? manager(name, routes ?? "", options) : packAny(TcpProxySchema, tcpProxy(name, tcp));
  const filterChain: MessageInitShape<typeof FilterChainSchema> = {
    filters: [
      {
        name: tcp === undefined ? "envoy.filters.network.http_connection_manager" : "envoy.filters.network.tcp_proxy",
        configType: { case: "typedConfig", value: filter },
      },
    ],
    ...(tls !== undefined && { transportSocket: tlsSocket(tls, tcp === undefined) }),
  };
  return listenerResource({
    name,
    address: socketAddress(hostPortOf(address, "address")),
    filterChains: [filterChain],
    ...(options.message as object | undefined),
  });
}

function manager(name: string, routes: string, options: ListenerOptions): AnyInit {
  const { filters = {}, upgrades = ["websocket"], accessLog = false, http } = options;
  const named = Object.entries(filters).map(([filter, value]) => ({ name: filter, configType: typed(value) }));
  return packAny(ManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: "rds", value: { routeConfigName: routes, configSource: ADS } },
    httpFilters: [...named, { name: "envoy.filters.http.router", configType: typed(packAny(RouterSchema, {})) }],
    upgradeConfigs: upgrades.map((upgradeType) => ({ upgradeType })),
    accessLog: accessLog ? [{ name: "stdout", configType: typed(packAny(StdoutAccessLogSchema, {})) }] : [],
    ...(http as object | undefined),
  });
}

function tcpProxy(name: string, cluster: string): MessageInitShape<typeof TcpProxySchema> {
  return { statPrefix: name, clusterSpecifier: { case: "cluster", value: cluster } };
}

function tlsSocket({ certificate, clientTrust }: NonNullable<ListenerOptions["tls"]>, http: boolean) {
  const value = packAny(DownstreamTlsContextSchema, {
    requireClientCertificate: clientTrust !== undefined,
    commonTlsContext: {
      alpnProtocols: http ? ["h2", "http/1.1"] : [],
      tlsCertificateSdsSecretConfigs: [{ name: certificate, sdsConfig: ADS }],
      ...(clientTrust !== undefined && {
        validationContextType: {
          case: "validationContextSdsSecretConfig" as const,
          value: { name: clientTrust, sdsConfig: ADS },
        },
      }),
    },
  });
  return { name: "envoy.transport_sockets.tls", configType: typed(value) };
}

function typed(value: AnyInit): { case: "typedConfig"; value: AnyInit } {
  return { case: "typedConfig", value };
}
