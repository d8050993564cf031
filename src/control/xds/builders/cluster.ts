import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type ClusterSchema,
} from "../../../contract/gen/envoy/config/cluster/v3/cluster.ts";
import { UpstreamTlsContextSchema } from "../../../contract/gen/envoy/extensions/transport_sockets/tls/v3/tls.ts";
import { HttpProtocolOptionsSchema } from "../../../contract/gen/envoy/extensions/upstreams/http/v3/http_protocol_options.ts";
import type { MessageInitShape } from "../../../contract/runtime.ts";
import { clusterResource, packAny } from "../resource.ts";
import type { XdsResource } from "../types.ts";
import { ADS, countOf, durationOf, hostPortOf, isIpAddress } from "./common.ts";
import { type EndpointOptions, loadAssignment } from "./endpoints.ts";

export interface ClusterOptions {
  /** Its endpoints; host names are resolved by the data plane. Without them they come from `endpoints(name, ...)`. */
  readonly endpoints?: readonly (string | EndpointOptions)[];
  /** What the endpoints speak. Default "http1"; gRPC needs "h2c" (with `tls`: HTTP/2 over TLS). */
  readonly protocol?: "http1" | "h2c";
  /** Default "round-robin". */
  readonly balancer?: "round-robin" | "least-request" | "random" | "ring-hash" | "maglev";
  /** Default 1,000. */
  readonly connectTimeoutMs?: number;
  readonly tls?: {
    /** Name that is asked for by SNI. */
    readonly sni?: string;
    /** Name of the secret with the authorities to trust. */
    readonly trust: string;
    /** Name of the secret with the own certificate. */
    readonly certificate?: string;
  };
  /** Limits of each data plane: over one, calls are refused at once. Envoy's defaults are 1,024, 1,024, 1,024 and 3. */
  readonly limits?: {
    readonly connections?: number;
    readonly pendingRequests?: number;
    readonly requests?: number;
    readonly retries?: number;
  };
  /** An endpoint that failed so many times in a row is left out for a time. */
  readonly outlier?: {
    readonly consecutiveFailures: number;
    readonly ejectMs?: number;
    readonly maxEjectedPercent?: number;
  };
  readonly healthCheck?: { readonly path: string; readonly intervalMs?: number; readonly timeoutMs?: number };
  /** Anything else of envoy.config.cluster.v3.Cluster, laid over what the options made. */
  readonly message?: MessageInitShape<typeof ClusterSchema>;
}

/** A cluster: who is called and how. Throws `invalid_argument` that names the option. */
export function cluster(name: string, options: ClusterOptions = {}): XdsResource {
  const { endpoints, protocol = "http1", balancer = "round-robin", connectTimeoutMs = 1_000, tls } = options;
  const message: MessageInitShape<typeof ClusterSchema> = {
    name,
    connectTimeout: durationOf(connectTimeoutMs, "connectTimeoutMs"),
    lbPolicy: BALANCERS[balancer],
    clusterDiscoveryType: { case: "type", value: discoveryOf(endpoints) },
    ...(endpoints === undefined
      ? { edsClusterConfig: { edsConfig: ADS } }
      : { loadAssignment: loadAssignment(name, endpoints) }),
    ...(protocol === "h2c" && { typedExtensionProtocolOptions: { [HTTP_OPTIONS]: HTTP2 } }),
    ...(tls !== undefined && { transportSocket: tlsSocket(tls, protocol) }),
    ...limitsOf(options),
  };
  return clusterResource({ ...message, ...(options.message as object | undefined) });
}

function discoveryOf(endpoints: ClusterOptions["endpoints"]): Cluster_DiscoveryType {
  if (endpoints === undefined) return Cluster_DiscoveryType.EDS;
  const hosts = endpoints.map((one) => hostPortOf(typeof one === "string" ? one : one.address, "endpoints").host);
  return hosts.every(isIpAddress) ? Cluster_DiscoveryType.STATIC : Cluster_DiscoveryType.STRICT_DNS;
}

function limitsOf({ limits, outlier, healthCheck }: ClusterOptions) {
  const count = (value: number | undefined, field: string) =>
    value === undefined ? undefined : countOf(value, 0, `limits.${field}`);
  return {
    ...(limits !== undefined && {
      circuitBreakers: {
        thresholds: [
          {
            maxConnections: count(limits.connections, "connections"),
            maxPendingRequests: count(limits.pendingRequests, "pendingRequests"),
            maxRequests: count(limits.requests, "requests"),
            maxRetries: count(limits.retries, "retries"),
          },
        ],
      },
    }),
    ...(outlier !== undefined && {
      outlierDetection: {
        consecutive5xx: countOf(outlier.consecutiveFailures, 1, "outlier.consecutiveFailures"),
        baseEjectionTime: durationOf(outlier.ejectMs ?? 30_000, "outlier.ejectMs"),
        maxEjectionPercent: countOf(outlier.maxEjectedPercent ?? 50, 0, "outlier.maxEjectedPercent"),
      },
    }),
    ...(healthCheck !== undefined && {
      healthChecks: [
        {
          interval: durationOf(healthCheck.intervalMs ?? 5_000, "healthCheck.intervalMs"),
          timeout: durationOf(healthCheck.timeoutMs ?? 1_000, "healthCheck.timeoutMs"),
          healthyThreshold: 1,
          unhealthyThreshold: 2,
          healthChecker: { case: "httpHealthCheck" as const, value: { path: healthCheck.path } },
        },
      ],
    }),
  };
}

function tlsSocket({ sni, trust, certificate }: NonNullable<ClusterOptions["tls"]>, protocol: string) {
  const value = packAny(UpstreamTlsContextSchema, {
    sni: sni ?? "",
    commonTlsContext: {
      alpnProtocols: [protocol === "h2c" ? "h2" : "http/1.1"],
      validationContextType: { case: "validationContextSdsSecretConfig", value: { name: trust, sdsConfig: ADS } },
      tlsCertificateSdsSecretConfigs: certificate === undefined ? [] : [{ name: certificate, sdsConfig: ADS }],
    },
  });
  return { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig" as const, value } };
}

const BALANCERS: Readonly<Record<string, Cluster_LbPolicy>> = {
  "round-robin": Cluster_LbPolicy.ROUND_ROBIN,
  "least-request": Cluster_LbPolicy.LEAST_REQUEST,
  random: Cluster_LbPolicy.RANDOM,
  "ring-hash": Cluster_LbPolicy.RING_HASH,
  maglev: Cluster_LbPolicy.MAGLEV,
};

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const HTTP2 = packAny(HttpProtocolOptionsSchema, {
  upstreamProtocolOptions: {
    case: "explicitHttpConfig",
    value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } },
  },
});
