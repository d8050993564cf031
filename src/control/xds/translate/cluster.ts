import { isIP } from "node:net";
import type { Endpoint } from "../../../core/endpoint.ts";
import { type MutualTls, spiffeId } from "../../../core/identity.ts";
import type { OutlierSettings } from "../../../policy/resilience/outlier-field.ts";
import type { EffectivePolicy } from "../../../policy/snapshot/effective-policy.ts";
import { compact, type Document, extension, seconds, typed, UNLIMITED } from "./document.ts";
import { loadBalancing } from "./load-balancing.ts";
import { publicAuthorities, upstreamTls } from "./transport.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * What of a policy holds for a cluster as a whole. Calls whose policies differ in it go to clusters of their own, with the same endpoints. `maxStreams` stands where
 * serviceCluster finds it.
 */
export function clusterSettings(policy: EffectivePolicy): Document {
  const { limits, retry, outlier, balancer } = policy;
  const { connections } = limits;
  const bound = (value: number | undefined): number =>
    value === undefined || value === Number.POSITIVE_INFINITY ? UNLIMITED : value;
  const maxConnections = bound(connections?.maxConnections);
  const retries = Number.isFinite(limits.maxRetries)
    ? { max_retries: limits.maxRetries }
    : {
        max_retries: UNLIMITED,
        retry_budget: {
          budget_percent: { value: retry.budget.ratio * 100 },
          min_retry_concurrency: Math.max(1, Math.ceil(retry.budget.minPerSecond)),
        },
      };
  return compact({
    circuit_breakers: compact({
      thresholds: [
        {
          priority: "DEFAULT",
          max_connections: UNLIMITED,
          max_pending_requests: bound(connections?.maxPending),
          max_requests: bound(limits.maxInFlight),
          ...retries,
        },
      ],
      per_host_thresholds: maxConnections === UNLIMITED ? undefined : [{ max_connections: maxConnections }],
    }),
    outlier_detection: outlier === null ? undefined : outlierDetection(outlier),
    load_balancing_policy: loadBalancing(balancer),
    common_lb_config: { healthy_panic_threshold: { value: balancer.panicThreshold * 100 } },
    maxStreams: Number.isFinite(connections?.maxStreams ?? Number.POSITIVE_INFINITY)
      ? connections?.maxStreams
      : undefined,
  });
}

/** What gRPC clients read of it (gRFCs A32, A42, A48, A50). */
export function grpcClusterSettings({ limits, outlier, balancer }: EffectivePolicy): Document {
  const detection = outlier === null ? undefined : outlierDetection(outlier);
  return compact({
    circuit_breakers: Number.isFinite(limits.maxInFlight)
      ? { thresholds: [{ priority: "DEFAULT", max_requests: limits.maxInFlight }] }
      : undefined,
    outlier_detection: detection,
    lb_policy: balancer.kind === "ring-hash" || balancer.kind === "maglev" ? "RING_HASH" : "ROUND_ROBIN",
    ring_hash_lb_config:
      balancer.kind === "ring-hash"
        ? {
            hash_function: "XX_HASH",
            minimum_ring_size: String(balancer.minRingSize),
            maximum_ring_size: String(balancer.maxRingSize),
          }
        : undefined,
    load_balancing_policy:
      balancer.kind === "ring-hash" || balancer.kind === "maglev" ? undefined : loadBalancing(balancer),
  });
}

function outlierDetection(outlier: OutlierSettings): Document {
  const percent = (value: number): number => Math.ceil(value);
  return {
    consecutive_5xx: outlier.consecutive5xx,
    consecutive_gateway_failure: outlier.consecutiveGatewayFailure,
    consecutive_local_origin_failure: outlier.consecutiveLocalOriginFailure,
    split_external_local_origin_errors: outlier.splitExternalLocalOriginErrors,
    interval: seconds(outlier.intervalMs),
    base_ejection_time: seconds(outlier.baseEjectionMs),
    max_ejection_time: seconds(outlier.maxEjectionMs),
    max_ejection_percent: percent(outlier.maxEjectionPercent),
    always_eject_one_host: outlier.maxEjectionPercent > 0,
    success_rate_minimum_hosts: outlier.successRateMinimumHosts,
    success_rate_request_volume: outlier.successRateRequestVolume,
    success_rate_stdev_factor: Math.round(outlier.successRateStdevFactor),
    failure_percentage_threshold: percent(outlier.failurePercentageThreshold),
    failure_percentage_minimum_hosts: outlier.failurePercentageMinimumHosts,
    failure_percentage_request_volume: outlier.failurePercentageRequestVolume,
    enforcing_consecutive_5xx: percent(outlier.enforcingConsecutive5xx),
    enforcing_consecutive_gateway_failure: percent(outlier.enforcingConsecutiveGatewayFailure),
    enforcing_consecutive_local_origin_failure: percent(outlier.enforcingConsecutiveLocalOriginFailure),
    enforcing_success_rate: percent(outlier.enforcingSuccessRate),
    enforcing_local_origin_success_rate: percent(outlier.enforcingLocalOriginSuccessRate),
    enforcing_failure_percentage: percent(outlier.enforcingFailurePercentage),
    enforcing_failure_percentage_local_origin: percent(outlier.enforcingFailurePercentageLocalOrigin),
  };
}

/** What a cluster has to know of its endpoints. Nothing of it changes with most changes of endpoints, so that a cluster stays as it is then. */
export interface EndpointTraits {
  /** All of what they speak: HTTP/2 or HTTP/1.1. */
  readonly http2: boolean;
  /** Some prove an identity by mutual TLS. */
  readonly identities: boolean;
  /** Some want TLS of their own. */
  readonly tls: boolean;
  /** Some have a name in place of an address, which EDS cannot carry. */
  readonly named: boolean;
}

export function traitsOf(endpoints: readonly Endpoint[]): EndpointTraits {
  return {
    http2: endpoints.length === 0 || endpoints.some(({ protocol }) => protocol === "h2c" || protocol === "h2"),
    identities: endpoints.some(({ identity }) => identity !== undefined),
    tls: endpoints.some(({ protocol, identity }) => protocol === "h2" && identity === undefined),
    named: endpoints.some(({ host }) => isIP(host) === 0),
  };
}

export interface ClusterParts {
  readonly name: string;
  readonly system: string;
  readonly service: string;
  readonly traits: EndpointTraits;
  /** Of its endpoints in EDS. */
  readonly endpointsName: string;
  /** Its endpoints themselves, where a name among them has to be looked up. */
  readonly inline: Document | null;
  readonly settings: Document;
  /** The node has a certificate to show. */
  readonly proven: boolean;
  /** How the service wants to be called. */
  readonly mtls: MutualTls;
}

/** config.cluster.v3.Cluster of one service (or version of it). */
export function serviceCluster(parts: ClusterParts): Document {
  const { name, traits, endpointsName, inline } = parts;
  const { maxStreams, ...settings } = parts.settings;
  return compact({
    name,
    ...(inline === null
      ? { type: "EDS", eds_cluster_config: { eds_config: ADS, service_name: endpointsName } }
      : { type: "STRICT_DNS", load_assignment: inline }),
    connect_timeout: "2s",
    ignore_health_on_host_removal: true,
    ...settings,
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: typed(HTTP_OPTIONS, {
        explicit_http_config: traits.http2
          ? { http2_protocol_options: compact({ max_concurrent_streams: maxStreams }) }
          : { http_protocol_options: {} },
      }),
    },
    transport_socket_matches: transportMatches(traits, parts),
  });
}

/** The same for gRPC clients, which read no more of it and take plain text. */
export function grpcCluster(name: string, endpointsName: string, settings: Document): Document {
  return {
    name,
    type: "EDS",
    eds_cluster_config: { eds_config: ADS, service_name: endpointsName },
    ...settings,
  };
}

export const ADS: Document = { ads: {}, resource_api_version: "V3" };

/** As a dial of weft's own (net/dial.ts): of a strict service an endpoint that proves nothing is not called, and one that takes no mutual TLS is called in plain text. */
function transportMatches(
  { identities, tls }: EndpointTraits,
  { system, service, proven, mtls }: Pick<ClusterParts, "system" | "service" | "proven" | "mtls">,
): Document[] | undefined {
  const matches: Document[] = [];
  const strict = mtls === "strict";
  if (proven && mtls !== "off" && (identities || strict)) {
    matches.push({
      name: "mesh",
      match: strict ? {} : { weft: "mesh" },
      transport_socket: upstreamTls(spiffeId(system, service)),
    });
  }
  if (tls) {
    matches.push({
      name: "tls",
      match: { weft: "tls" },
      transport_socket: extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        {
          common_tls_context: {
            alpn_protocols: ["h2"],
            validation_context: { trusted_ca: { inline_string: publicAuthorities() } },
          },
          auto_host_sni: true,
          auto_sni_san_validation: true,
        },
      ),
    });
  }
  return matches.length === 0 ? undefined : matches;
}
