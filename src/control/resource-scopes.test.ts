import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codecOf } from "../contract/codec.ts";
import { ResourceSetSchema } from "../contract/gen/weft/control/v1/control.ts";
import { seededRandom } from "../core/random.ts";
import { authentication, authorization, rateLimit, route, traffic } from "../policy/builders.ts";
import type { Place } from "../policy/call.ts";
import { copyDecision } from "../policy/decision/decision.ts";
import { endpoint, grpc, http, TestCall } from "../policy/machine/call.case.ts";
import { anyResourceOf, KINDS } from "../policy/resource/any-resource.case.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { inspectResources } from "../policy/resource/validate.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { type KnownContracts, ResourceScopes, sameScope } from "./resource-scopes.ts";

const SERVICES = ["alpha", "beta", "gamma", "delta"];
const METHODS: readonly MethodInfo[] = SERVICES.map((service) => ({
  path: `/p.${service}.Api/Get`,
  service,
  idempotent: true,
  clientStreaming: false,
  serverStreaming: false,
}));
/** "delta" is a service that nobody described. */
const CONTRACTS: KnownContracts = {
  generation: 1,
  all: () => SERVICES.slice(0, 3).map((service) => ({ service, contracts: [`p.${service}.Api`] })),
};

function scopesOf(resources: readonly Resource[], revision = 1, before: ResourceScopes | null = null): ResourceScopes {
  const texts = resources.map((resource) => JSON.stringify(resource));
  return new ResourceScopes(revision, resources, texts, CONTRACTS, before);
}

function partOf(scopes: ResourceScopes, ...services: string[]): Resource[] {
  const { bytes } = scopes.of(services, services.join());
  return JSON.parse(codecOf(ResourceSetSchema).decode(bytes, 0, bytes.byteLength).json) as Resource[];
}

const SYSTEM = { kind: "System" } as const;
const namesOf = (resources: readonly Resource[]): string[] => resources.map(({ metadata }) => metadata.name).sort();

/** What has to do with these services under names that resources of any kind may refer to. */
const target = fc.constantFrom(
  ...SERVICES.map((name) => ({ kind: "Service", name })),
  ...SERVICES.map((name) => ({ kind: "Service", name: `${name}@v1` })),
  ...SERVICES.map((name) => ({ kind: "Method", name: `p.${name}.Api` })),
  ...SERVICES.map((name) => ({ kind: "Method", name: `p.${name}.Api/Get` })),
  { kind: "Gateway" },
  { kind: "System" },
  ...[0, 1, 2, 3].map((n) => ({ kind: "HTTPRoute", name: `httproute-${n}` })),
  ...[0, 1, 2, 3].map((n) => ({ kind: "GRPCRoute", name: `grpcroute-${n}` })),
);
const backend = fc.record({ name: fc.constantFrom(...SERVICES, "alpha@v1", "beta@v1"), weight: fc.constantFrom(1, 2) });
const parent = fc.constantFrom(
  { kind: "Gateway", name: "gateway" },
  ...SERVICES.map((name) => ({ kind: "Service", name })),
);

/** Any resources, attached to one another's names. */
const resources = fc
  .array(
    fc.record({
      made: fc.constantFrom(...KINDS).chain((kind) => anyResourceOf(kind)),
      targets: fc.option(fc.array(target, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 4 }),
      parents: fc.option(fc.array(parent, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 4 }),
      backends: fc.array(backend, { minLength: 1, maxLength: 2 }),
      standby: fc.constantFrom(...SERVICES),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map((all) => {
    const kept: Resource[] = [];
    for (const { made, targets, parents, backends, standby } of all) {
      if (made === null) continue;
      const one = structuredClone(made) as unknown as { kind: string; metadata: object; spec: Record<string, unknown> };
      one.metadata = { name: `${one.kind.toLowerCase()}-${kept.filter(({ kind }) => kind === one.kind).length}` };
      if (one.kind.endsWith("Route")) {
        one.spec.parentRefs = parents;
        for (const rule of one.spec.rules as Record<string, unknown>[]) {
          if (rule.backendRefs !== undefined) rule.backendRefs = backends;
        }
      } else one.spec.targetRefs = targets;
      const { fallback } = one.spec as { fallback?: { service?: string } };
      if (fallback?.service !== undefined) fallback.service = standby;
      if (targets === undefined) delete one.spec.targetRefs;
      const resource = one as unknown as Resource;
      if (inspectResources([...kept, resource]).errors.length === 0) kept.push(resource);
    }
    return kept;
  });

test("calls to its services are decided by a part as by the whole, wherever they are decided", () => {
  let parts = 0;
  fc.assert(
    fc.property(
      resources,
      fc.subarray(SERVICES, { minLength: 1, maxLength: 2 }),
      fc.constantFrom<Place>("client", "sidecar", "server"),
      fc.boolean(),
      (all, used, place, isGrpc) => {
        const part = partOf(scopesOf(all), ...used);
        if (part.length < all.length) parts++;
        const decide = (held: readonly Resource[], service: string) => {
          const runtime = createPolicyRuntime({ random: seededRandom(7), record: "none", wallAt: 1e12 });
          runtime.applyResources(1, held, METHODS);
          const changed = SERVICES.flatMap((name) =>
            [1, 2, 3].map((n) => endpoint(`${name}-${n}`, { version: n === 1 ? "v2" : "v1" })),
          );
          runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
          const call = new TestCall(runtime, 1_000);
          const request = isGrpc ? grpc(`/p.${service}.Api/Get`) : http("GET", "/web", ["x-user", "a"]);
          call.begin(request, { place, service });
          if (call.call.decision.attempts.length > 0) call.head(1, 503);
          call.advance(200);
          const { attempts, outcome, route: matched } = copyDecision(call.call.decision);
          return { seen: call.seen, attempts, outcome, matched, response: call.call.response?.status };
        };
        for (const service of used) assert.deepEqual(decide(part, service), decide(all, service));
      },
    ),
    { numRuns: 120 },
  );
  assert.ok(parts > 20, `${parts} of the parts were smaller than the whole`);
});

test("a part holds what is attached to its services, to their routes, and to what those name, and nothing of others", () => {
  const all = [
    ...traffic("alpha").timeout("1s").resources(),
    ...traffic("alpha@v1").timeout("2s").resources(),
    ...traffic("beta").timeout("1s").resources(),
    ...traffic("gamma").fallback({ service: "delta" }).resources(),
    ...traffic("delta").timeout("1s").resources(),
    ...traffic(SYSTEM).retry(1).resources(),
    ...route("/v1/beta").to("beta").resources(),
    ...rateLimit("alpha").allow(1).resources(),
  ];
  const scopes = scopesOf(all);
  const system = traffic(SYSTEM).retry(1).resources();
  assert.deepEqual(
    namesOf(partOf(scopes, "alpha")),
    namesOf([...all.slice(0, 2), ...system, ...rateLimit("alpha").allow(1).resources()]),
  );
  assert.deepEqual(namesOf(partOf(scopes, "gamma")), namesOf([all[3], all[4], ...system]));
  assert.deepEqual(namesOf(partOf(scopes)), namesOf(system));
  assert.equal(scopes.of(["gamma"], "gamma"), scopes.of(["gamma"], "gamma"));
});

test("policies of a method come to who may call it: its service, who is not described, and all where nobody serves it", () => {
  const all = [
    ...traffic("p.alpha.Api/Get").timeout("1s").resources(),
    ...traffic("p.nobody.Api/Get").timeout("1s").resources(),
  ];
  const scopes = scopesOf(all);
  assert.equal(partOf(scopes, "alpha").length, 2);
  assert.equal(partOf(scopes, "beta").length, 1);
  assert.equal(partOf(scopes, "delta").length, 2);
});

test("providers that rules name come with them", () => {
  const all = [
    ...authentication("beta").jwt({ issuer: "https://id.test" }, { name: "shop" }).resources(),
    ...authorization("alpha")
      .allow({ authenticatedBy: ["jwt:shop"] })
      .resources(),
  ] as Resource[];
  assert.equal(partOf(scopesOf(all), "alpha").length, 2);
});

test("a revision that changes nothing of a part leaves its strings as they are", () => {
  const before = scopesOf([
    ...traffic("alpha").timeout("1s").resources(),
    ...traffic("beta").timeout("1s").resources(),
  ]);
  const next = [...traffic("alpha").timeout("1s").resources(), ...traffic("beta").timeout("3s").resources()];
  const after = scopesOf(structuredClone(next), 2, before);
  assert.ok(sameScope(before.of(["alpha"], "alpha").texts, after.of(["alpha"], "alpha").texts));
  assert.ok(!sameScope(before.of(["beta"], "beta").texts, after.of(["beta"], "beta").texts));
  const { revision, unchanged } = codecOf(ResourceSetSchema).decode(after.unchanged, 0, after.unchanged.byteLength);
  assert.deepEqual([revision, unchanged], [2n, true]);
});
