import type { BalancerSettings } from "../../../policy/balance/balancer-settings.ts";
import { compact, type Document, extension, seconds } from "./document.ts";

const LB = "envoy.extensions.load_balancing_policies";

/** config.cluster.v3.LoadBalancingPolicy: gRPC clients take the first that they know, Envoy knows all. */
export function loadBalancing(balancer: BalancerSettings): Document {
  return { policies: policies(balancer).map((policy) => ({ typed_extension_config: policy })) };
}

function policies(balancer: BalancerSettings): Document[] {
  const { kind, subset } = balancer;
  const chosen = byKind(balancer);
  if (subset === null || subset.match.some(({ header }) => header !== "")) {
    // Whoever does not know the first takes the second: gRPC clients without least_request.
    return kind === "ring-hash" || kind === "maglev" || chosen.name.endsWith("round_robin")
      ? [chosen, ROUND_ROBIN]
      : [chosen, roundRobin(balancer)];
  }
  return [
    extension("envoy.load_balancing_policies.subset", `${LB}.subset.v3.Subset`, {
      fallback_policy: FALLBACKS[subset.fallback],
      ...(subset.byDefault.length === 0
        ? {}
        : { default_subset: Object.fromEntries(subset.byDefault.map(({ key, value }) => [key, value])) }),
      subset_selectors: [{ keys: subset.match.map(({ key }) => key) }],
      subset_lb_policy: { policies: [{ typed_extension_config: chosen }] },
    }),
  ];
}

type Named = Document & { readonly name: string };

function byKind(balancer: BalancerSettings): Named {
  const { kind } = balancer;
  switch (kind) {
    case "round-robin":
    case "weighted-round-robin":
      return roundRobin(balancer);
    case "random":
    case "weighted-random":
      return named("random", "Random", localities(balancer));
    case "by-load":
      return named(
        "client_side_weighted_round_robin",
        "ClientSideWeightedRoundRobin",
        compact({
          blackout_period: seconds(balancer.blackoutMs),
          weight_expiration_period: seconds(balancer.expirationMs),
          weight_update_period: seconds(Math.max(100, balancer.updateMs)),
          error_utilization_penalty: balancer.errorPenalty,
          metric_names_for_computing_utilization: METRICS[balancer.utilization],
        }),
      );
    case "ring-hash":
      return named("ring_hash", "RingHash", {
        hash_function: "XX_HASH",
        minimum_ring_size: String(balancer.minRingSize),
        maximum_ring_size: String(balancer.maxRingSize),
        ...bounded(balancer),
      });
    case "maglev":
      return named("maglev", "Maglev", { table_size: String(balancer.tableSize), ...bounded(balancer) });
    default:
      return named("least_request", "LeastRequest", {
        choice_count: balancer.choices,
        ...(balancer.activeRequestBias === 1
          ? {}
          : { active_request_bias: { default_value: balancer.activeRequestBias, runtime_key: "weft.bias" } }),
        ...(balancer.fullScan ? { selection_method: "FULL_SCAN" } : {}),
        ...slowStart(balancer),
        ...localities(balancer),
      });
  }
}

function roundRobin(balancer: BalancerSettings): Named {
  return named("round_robin", "RoundRobin", { ...slowStart(balancer), ...localities(balancer) });
}

function named(name: string, message: string, value: Document): Named {
  return extension(`envoy.load_balancing_policies.${name}`, `${LB}.${name}.v3.${message}`, value) as Named;
}

const ROUND_ROBIN = named("round_robin", "RoundRobin", {});

function bounded({ boundedLoad }: BalancerSettings): Document {
  if (boundedLoad === 0) return {};
  return {
    consistent_hashing_lb_config: { hash_balance_factor: Math.max(100, Math.round(boundedLoad * 100)) },
  };
}

function slowStart({ slowStartMs, aggression, minWarmth }: BalancerSettings): Document {
  if (slowStartMs === 0) return {};
  return {
    slow_start_config: {
      slow_start_window: seconds(slowStartMs),
      aggression: { default_value: aggression, runtime_key: "weft.aggression" },
      min_weight_percent: { value: minWarmth * 100 },
    },
  };
}

/** "aware": Envoy keeps calls in its own zone where the bootstrap names the local cluster; elsewhere it takes zones as they come. */
function localities({ zones, minEndpoints }: BalancerSettings): Document {
  return zones === "aware"
    ? { locality_lb_config: { zone_aware_lb_config: { min_cluster_size: String(minEndpoints) } } }
    : {};
}

const FALLBACKS = { none: "NO_FALLBACK", any: "ANY_ENDPOINT", default: "DEFAULT_SUBSET" } as const;
/** Names of ORCA, where Envoy does not go by what applications say of themselves. */
const METRICS: Readonly<Record<BalancerSettings["utilization"], readonly string[] | undefined>> = {
  auto: undefined,
  application: undefined,
  cpu: ["cpu_utilization"],
  memory: ["mem_utilization"],
  "event-loop": ["named_metrics.event_loop"],
};
