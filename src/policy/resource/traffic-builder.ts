import type { MutualTls } from "../../core/identity.ts";
import type { AdmissionSpec } from "../admission/admission-field.ts";
import type { CacheSpec } from "../cache/cache-field.ts";
import type { ConcurrencySpec } from "../concurrency/concurrency-field.ts";
import type { FaultSpec } from "../fault/fault-field.ts";
import type { ProxyProtocolSpec } from "../route/proxy-protocol-field.ts";
import { durationText, policyName, type TargetInput, targetOf } from "./builder-parts.ts";
import {
  type BalancerKind,
  type BalancerSpec,
  type BreakerSpec,
  type Duration,
  type FallbackSpec,
  type HedgeSpec,
  type LimitsSpec,
  type OutlierSpec,
  type Resource,
  type RetrySpec,
  type TargetRef,
  type TrafficPolicySpec,
  WEFT_API,
} from "./resources.ts";

/**
 * Makes a TrafficPolicy. Every method gives a new builder and leaves the old one as it was.
 *
 *     traffic("payments").timeout("800ms").retry(2).breaker().fallback({ status: "accepted", body: { queued: true } })
 */
export interface TrafficBuilder {
  /** Also for this target. */
  and(target: TargetInput): TrafficBuilder;
  /** The whole call, and each attempt. Numbers are milliseconds; 0 is unlimited. */
  timeout(call: Duration | number, perTry?: Duration | number): TrafficBuilder;
  /** No bytes either way for so long: streams and sessions too. */
  idleTimeout(silence: Duration | number): TrafficBuilder;
  /** Retries beyond the first attempt; 0 switches them off. */
  retry(attempts: number, options?: Omit<RetrySpec, "attempts">): TrafficBuilder;
  /**
   * Another attempt while one is slow: after a quantile of the method's own latency ("p95", the default), or a time. False: no hedging, whatever a less
   * specific policy says.
   */
  hedge(after?: string | number | false, options?: Omit<HedgeSpec, "after" | "enabled">): TrafficBuilder;
  /** Puts endpoints aside that do worse than the others; without arguments with Envoy's defaults. False: not. */
  outlier(options?: OutlierSpec | false): TrafficBuilder;
  /** Without arguments: opens at 50 % failures among 20 or more calls in 10 s, probes after 5 s. False: no breaker. */
  breaker(options?: BreakerSpec | false): TrafficBuilder;
  /** Which endpoint gets a call: `.balancer("ring-hash", { hash: [{ by: "header", name: "x-user" }] })`. */
  balancer(kind: BalancerKind, options?: BalancerOptions): TrafficBuilder;
  /** Options of the balancer without its kind: `.balance({ zones: { routing: "failover" } })`. */
  balance(options: BalancerOptions): TrafficBuilder;
  limits(limits: LimitsSpec): TrafficBuilder;
  /** Tells endpoints who connected, of sessions over TCP: by a header of the PROXY protocol before their bytes. */
  proxyProtocol(version: ProxyProtocolSpec): TrafficBuilder;
  /** "strict": calls over mutual TLS alone; "permissive" (default): in plain text, too; "off": in plain text. Of services and the whole system. */
  mtls(mode: MutualTls): TrafficBuilder;
  /**
   * What answers when the service does not: `{ stale: true }`, `{ service: "products-standby" }`, a fixed answer, or all of them, in this order. `status` by
   * number or by name: "ok", "accepted", "no-content".
   */
  fallback(answer: FallbackInput): TrafficBuilder;
  /** Turns calls away while the process is too busy, the least important first; without arguments from 95 % of the event loop on. False: never. */
  admission(options?: AdmissionSpec | false): TrafficBuilder;
  /** The priority of these calls for admission: 0 goes first, 10 is never turned away. */
  priority(priority: number): TrafficBuilder;
  /** A limit of calls in flight that finds its own number: `.concurrency("vegas")`. */
  concurrency(algorithm?: ConcurrencySpec["algorithm"], options?: Omit<ConcurrencySpec, "algorithm">): TrafficBuilder;
  /** Failures on purpose: `.fault({ delay: { fixed: "200ms", percent: 5 } })`. False: none, whatever a less specific policy says. */
  fault(faults: FaultSpec | false): TrafficBuilder;
  /** Keeps responses at the gateway, as RFC 9111 lets a shared cache. False: not, whatever a less specific policy says. */
  cache(options?: CacheSpec | false): TrafficBuilder;
  /** The resource's name. Default: made of the first target. */
  named(name: string): TrafficBuilder;
  resources(): readonly Resource[];
}

/** As in the resource; `decay` also in milliseconds. */
export type BalancerOptions = Omit<BalancerSpec, "kind" | "decay"> & { decay?: Duration | number };

export type FallbackInput = Omit<FallbackSpec, "status"> & { status?: number | FallbackStatus };
export type FallbackStatus = "ok" | "accepted" | "no-content" | "service-unavailable";

/** Begins a policy for a service ("payments"), a method ("pay.v1.Payments/Charge"), the system ("*"), or a target in full. */
export function traffic(target: TargetInput): TrafficBuilder {
  return make(null, [targetOf(target)], {});
}

function make(name: string | null, targetRefs: readonly TargetRef[], spec: TrafficPolicySpec): TrafficBuilder {
  const change = (changes: TrafficPolicySpec): TrafficBuilder => make(name, targetRefs, { ...spec, ...changes });
  return {
    and: (target) => make(name, [...targetRefs, targetOf(target)], spec),
    timeout: (call, perTry) =>
      change({
        timeout: durationText(call),
        ...(perTry === undefined ? {} : { perTryTimeout: durationText(perTry) }),
      }),
    idleTimeout: (silence) => change({ idleTimeout: durationText(silence) }),
    hedge: (after = "p95", options = {}) =>
      change({ hedge: after === false ? { enabled: false } : { after: durationText(after), ...options } }),
    outlier: (options = {}) => change({ outlier: options === false ? { enabled: false } : options }),
    retry: (attempts, options = {}) => change({ retry: { attempts, ...options } }),
    breaker: (options = {}) => change({ breaker: options === false ? { enabled: false } : options }),
    balancer: (kind, options = {}) => change({ balancer: { kind, ...balancerOptions(options) } }),
    balance: (options) => change({ balancer: { ...spec.balancer, ...balancerOptions(options) } }),
    limits: (limits) => change({ limits }),
    proxyProtocol: (version) => change({ proxyProtocol: version }),
    mtls: (mode) => change({ mtls: mode }),
    fallback: ({ status, ...rest }) =>
      change({
        fallback: {
          ...rest,
          ...(status === undefined ? {} : { status: typeof status === "number" ? status : STATUS[status] }),
        },
      }),
    admission: (options = {}) => change({ admission: options === false ? { enabled: false } : options }),
    priority: (priority) => change({ admission: { ...spec.admission, priority } }),
    concurrency: (algorithm, options = {}) =>
      change({ concurrency: { ...(algorithm === undefined ? {} : { algorithm }), ...options } }),
    fault: (faults) => change({ fault: faults === false ? { enabled: false } : faults }),
    cache: (options = {}) => change({ cache: options === false ? { enabled: false } : options }),
    named: (chosen) => make(chosen, targetRefs, spec),
    resources: () => [
      {
        apiVersion: WEFT_API,
        kind: "TrafficPolicy",
        metadata: { name: name ?? policyName(targetRefs[0]) },
        spec: { targetRefs, ...spec },
      },
    ],
  };
}

function balancerOptions({ decay, ...rest }: BalancerOptions): Omit<BalancerSpec, "kind"> {
  return decay === undefined ? rest : { ...rest, decay: durationText(decay) };
}

const STATUS: Readonly<Record<FallbackStatus, number>> = {
  ok: 200,
  accepted: 202,
  "no-content": 204,
  "service-unavailable": 503,
};
