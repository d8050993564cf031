import fc from "fast-check";
import {
  type Resource,
  type TargetRef,
  type TrafficPolicySpec,
  WEFT_API,
} from "../../src/policy/resource/resources.ts";
import type { AuthorizationRule } from "../../src/policy/security/authorization-resource.ts";
import type { Scope } from "./model.ts";
import { TRIAL } from "./raw-call.ts";
import { ISSUER, PROVIDER } from "./tokens.ts";

/* Policies beside the routes. Times are far from each other, so that no outcome is a race: what hangs hangs for good, and of time-outs one is near. */

const CONDITIONS = ["5xx", "gateway-error", "reset", "connect-failure", "refused", "503", "404", "timeout"];
const GRPC_CONDITIONS = ["unavailable", "aborted", "resource_exhausted", "internal", "reset", "timeout", "503"];

const times = fc.constantFrom<TrafficPolicySpec>(
  { timeout: "150ms" },
  { timeout: "0s", perTryTimeout: "120ms" },
  { perTryTimeout: "120ms" },
  { timeout: "5s" },
);
const retry = (scope: Scope): fc.Arbitrary<TrafficPolicySpec> =>
  fc
    .record({
      attempts: fc.constantFrom(0, 1, 2, 3),
      on: fc.uniqueArray(fc.constantFrom(...(scope === "rpc" ? GRPC_CONDITIONS : CONDITIONS)), {
        minLength: 1,
        maxLength: 3,
      }),
      nonIdempotent: fc.option(fc.boolean(), { nil: undefined, freq: 2 }),
    })
    .map((made) => ({ retry: JSON.parse(JSON.stringify(made)) }));
const fallback = fc.constantFrom<TrafficPolicySpec>(
  { fallback: { status: 200, body: "instead" } },
  { fallback: { status: 410, on: ["404"] } },
  { fallback: { service: "other" } },
);
const grpcFallback = fc.constantFrom<TrafficPolicySpec>(
  { fallback: { grpc: { status: "aborted", message: "instead" } } },
  { fallback: { service: "duo@v1" } },
);
const match = fc.option(fc.constantFrom([{ name: "x-lane", value: "blue" }], [{ name: "x-user" }]), {
  nil: undefined,
  freq: 2,
});
const fault = fc
  .tuple(
    fc.constantFrom(
      { abort: { status: 418 } },
      { abort: { status: 503 } },
      { abort: { grpcStatus: "aborted" } },
      { delay: { fixed: "40ms" } },
      { abort: { status: 503, percent: 0 } },
    ),
    match,
  )
  .map(([made, on]): TrafficPolicySpec => ({ fault: { ...made, ...(on === undefined ? {} : { match: on }) } }));

const targets = (scope: Scope): fc.Arbitrary<TargetRef[]> => {
  const service =
    scope === "edge" || scope === "in" ? fc.constantFrom("web", "rpc", "other") : fc.constantFrom(scope, "other");
  return fc.oneof(
    service.map((name): TargetRef[] => [{ kind: "Service", name }]),
    fc.constant<TargetRef[]>([{ kind: "System" }]),
    fc.constantFrom("Read", "Replace").map((name): TargetRef[] => [{ kind: "Method", name: `${TRIAL}/${name}` }]),
  );
};

const rule = fc
  .record({
    action: fc.constantFrom("allow" as const, "deny" as const, "allow" as const, "audit" as const),
    paths: fc.option(fc.constantFrom(["/a"], ["/a/*"], ["/x/1", "/b"], [`/${TRIAL}/*`], ["*b"]), {
      nil: undefined,
      freq: 1,
    }),
    methods: fc.option(fc.constantFrom(["GET"], ["POST", "PUT"], [`${TRIAL}/Read`], [`${TRIAL}/*`]), {
      nil: undefined,
      freq: 1,
    }),
    headers: fc.option(
      fc.constantFrom(
        [{ name: "x-user", equals: "ann" }],
        [{ name: "x-user", in: ["ann", "bob"] }],
        [{ name: "x-user", exists: true }],
        [{ name: "x-user", exists: false }],
        [{ name: "x-user", prefix: "b" }],
        [{ name: "x-lane", contains: "lu" }],
      ),
      { nil: undefined, freq: 1 },
    ),
    networks: fc.option(fc.constantFrom(["127.0.0.0/8"], ["10.0.0.0/8"]), { nil: undefined, freq: 1 }),
    hosts: fc.option(fc.constantFrom(["shop.test"], ["*.shop.test"]), { nil: undefined, freq: 1 }),
  })
  .map((made): AuthorizationRule => JSON.parse(JSON.stringify(made)));

/** About whoever a token names (tokens.ts). */
const claimRule = fc
  .record({
    action: fc.constantFrom("allow" as const, "allow" as const, "deny" as const),
    subjects: fc.option(fc.constantFrom(["ann"], ["bob"], ["a*"], ["*"]), { nil: undefined, freq: 1 }),
    issuers: fc.option(fc.constantFrom([ISSUER], ["https://other.test"]), { nil: undefined, freq: 1 }),
    authenticatedBy: fc.option(fc.constantFrom(["jwt:shop"], ["*"], ["jwt:other"]), { nil: undefined, freq: 1 }),
    claims: fc.option(
      fc.constantFrom(
        [{ claim: "role", equals: "admin" }],
        [{ claim: "role", in: ["user", "guest"] }],
        [{ claim: "groups", contains: "a" }],
        [{ claim: "scope", contains: "write" }],
        [{ claim: "level", equals: 3 }],
        [{ claim: "team.name", equals: "red" }],
        [{ claim: "team", exists: true }],
        [{ claim: "team", exists: false }],
      ),
      { nil: undefined, freq: 2 },
    ),
    paths: fc.option(fc.constantFrom(["/a*"], [`/${TRIAL}/*`]), { nil: undefined, freq: 1 }),
  })
  .map((made): AuthorizationRule => JSON.parse(JSON.stringify(made)));

/** Another attempt while one is under way: after a time, which Envoy does not know, and when one is over its time. */
const hedge = fc.constantFrom<TrafficPolicySpec>(
  { hedge: { after: "70ms", ratio: 1 } },
  { hedge: { after: "70ms", ratio: 1, max: 2, nonIdempotent: true } },
  { hedge: { after: "1h", ratio: 1, onTryTimeout: true }, perTryTimeout: "120ms" },
);

/** Policies for whoever calls in this scope. */
export function anyPolicies(scope: Scope): fc.Arbitrary<Resource[]> {
  const traffic = fc
    .tuple(targets(scope), fc.oneof(times, retry(scope), scope === "rpc" ? grpcFallback : fallback, fault, hedge))
    .map(([targetRefs, spec]) => ({ kind: "TrafficPolicy", spec: { targetRefs, ...spec } }));
  const noHosts = scope !== "edge";
  const authorization = fc
    .tuple(targets(scope), fc.array(rule, { minLength: 1, maxLength: 3 }))
    .map(([targetRefs, rules]) => ({
      kind: "Authorization",
      spec: { targetRefs, rules: noHosts ? rules.map(({ hosts: _hosts, ...rest }) => rest) : rules },
    }));
  const enforcedBy = scope === "in" ? "server" : scope === "edge" ? "gateway" : "client";
  const limit = fc
    .tuple(
      targets(scope),
      fc.constantFrom(1, 3),
      fc.option(fc.constantFrom({ by: "header", header: "x-user" }, { by: "address" }), { nil: undefined, freq: 1 }),
    )
    .map(([targetRefs, requests, key]) => ({
      kind: "RateLimit",
      spec: { targetRefs, requests, per: "1h", enforcedBy, ...(key === undefined ? {} : { key }) },
    }));
  const kinds =
    scope === "in"
      ? [
          { weight: 4, arbitrary: authorization as fc.Arbitrary<object> },
          { weight: 1, arbitrary: limit as fc.Arbitrary<object> },
        ]
      : [
          { weight: 5, arbitrary: traffic as fc.Arbitrary<object> },
          { weight: 2, arbitrary: authorization as fc.Arbitrary<object> },
          { weight: 1, arbitrary: limit as fc.Arbitrary<object> },
        ];
  // End users are established where calls arrive; elsewhere nobody looks.
  const users = fc
    .tuple(targets(scope), fc.boolean(), fc.array(claimRule, { maxLength: 2 }))
    .map(([targetRefs, optional, rules]): object[] => [
      {
        kind: "Authentication",
        spec: { targetRefs, providers: [PROVIDER], at: ["gateway", "server"], ...(optional ? { optional } : {}) },
      },
      ...(rules.length === 0
        ? []
        : [{ kind: "Authorization", spec: { targetRefs, rules, at: ["gateway", "server"] } }]),
    ]);
  const some = fc.array(fc.oneof(...kinds), { minLength: scope === "in" ? 1 : 0, maxLength: 3 });
  return fc
    .tuple(some, fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: users }))
    .map((made) =>
      made
        .flat()
        .map(
          (policy, i) =>
            ({ apiVersion: WEFT_API, metadata: { name: `policy-${i + 1}` }, ...policy }) as unknown as Resource,
        ),
    );
}
