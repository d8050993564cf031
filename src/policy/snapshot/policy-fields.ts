import { admissionField } from "../admission/admission-field.ts";
import { balancerField } from "../balance/balancer-field.ts";
import { cacheField } from "../cache/cache-field.ts";
import { concurrencyField } from "../concurrency/concurrency-field.ts";
import { faultField } from "../fault/fault-field.ts";
import { breakerField } from "../resilience/breaker-field.ts";
import { fallbackField } from "../resilience/fallback-field.ts";
import { hedgeField } from "../resilience/hedge-field.ts";
import { limitsField } from "../resilience/limits-field.ts";
import { outlierField } from "../resilience/outlier-field.ts";
import { retryField } from "../resilience/retry-field.ts";
import { callTimeoutField, idleTimeoutField, perTryTimeoutField } from "../resilience/timeout-field.ts";
import { targetRefs } from "../resource/common-shapes.ts";
import type { PolicyField } from "../resource/policy-field.ts";
import { object } from "../resource/shape.ts";
import { proxyProtocolField } from "../route/proxy-protocol-field.ts";
import { mutualTlsField } from "../security/mutual-tls-field.ts";

/** Every field of a TrafficPolicy. */
export const POLICY_FIELDS = {
  admission: admissionField,
  concurrency: concurrencyField,
  timeout: callTimeoutField,
  perTryTimeout: perTryTimeoutField,
  idleTimeout: idleTimeoutField,
  retry: retryField,
  hedge: hedgeField,
  breaker: breakerField,
  outlier: outlierField,
  balancer: balancerField,
  limits: limitsField,
  fallback: fallbackField,
  fault: faultField,
  cache: cacheField,
  proxyProtocol: proxyProtocolField,
  mtls: mutualTlsField,
} as const;

export type PolicyFieldName = keyof typeof POLICY_FIELDS;
export const POLICY_FIELD_NAMES = Object.keys(POLICY_FIELDS) as readonly PolicyFieldName[];

/** TrafficPolicy.spec */
export const trafficPolicySpec = object({
  targetRefs,
  ...Object.fromEntries(POLICY_FIELD_NAMES.map((name) => [name, POLICY_FIELDS[name].check])),
});

/** What each field compiles to. */
export type FieldSettings = {
  readonly [Name in PolicyFieldName]: (typeof POLICY_FIELDS)[Name] extends PolicyField<infer _Spec, infer Settings>
    ? Settings
    : never;
};
