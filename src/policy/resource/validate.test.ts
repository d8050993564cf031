import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import { rateLimit, route, traffic } from "../builders.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { readResourceDocuments } from "./read-resource-documents.ts";
import { parseResources } from "./validate.ts";

function problems(text: string): string[] {
  try {
    parseResources(readResourceDocuments(text, "shop.yaml"));
    return [];
  } catch (error) {
    assert.ok(error instanceof WeftError);
    assert.equal(error.code, "invalid_argument");
    return error.message.split("\n");
  }
}

test("every problem is told, with line, path and suggestion", () => {
  const text = `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: payments }
spec:
  timeuot: 5s
  timeout: 800
  retry: { attempts: 99, on: [unavailble] }
---
kind: HTTPRout
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: Orders }
spec:
  rules:
    - matches: [{ path: { type: RegularExpression, value: /a( } }]
`;
  assert.deepEqual(problems(text), [
    'shop.yaml:5:12 spec.timeuot: unknown field; did you mean "timeout"?',
    'shop.yaml:6:12 spec.timeout: needs a unit: "800ms" or "800s"',
    "shop.yaml:7:22 spec.retry.attempts: must be a whole number from 0 to 10, is 99",
    'shop.yaml:7:31 spec.retry.on[0]: "unavailble" is no condition; did you mean "unavailable"?',
    'shop.yaml:9:7 kind: "HTTPRout" is no kind; did you mean "HTTPRoute"?',
    'shop.yaml:13:19 metadata.name: must be a name: lower-case letters, digits, - and ., is "Orders"',
    'shop.yaml:16:59 spec.rules[0].matches[0].path.value: "/a(" is no regular expression: missing closing ): `/a(`',
  ]);
});

test("a syntax error in YAML has its place", () => {
  assert.throws(() => readResourceDocuments("kind: [", "x.yaml"), /x\.yaml:1:\d/);
});

test("a cluster's own HTTPRoute is accepted", () => {
  const text = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: default, uid: abc }
spec:
  parentRefs: [{ name: gw, sectionName: web }]
  hostnames: ["shop.example"]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /v1 }, headers: [{ name: x-lane, value: blue }] }]
      filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { add: [{ name: a, value: b }] } }]
      backendRefs: [{ name: products, port: 80, weight: 1 }]
      timeouts: { request: 10s, backendRequest: 2s }
      retry: { codes: [503], attempts: 3, backoff: 100ms }
`;
  const { resources, warnings } = parseResources(readResourceDocuments(text, "x.yaml"), { services: ["product"] });
  assert.equal(resources.length, 1);
  assert.deepEqual(
    warnings.map(({ message, place }) => `${place.line} ${message}`),
    [
      "5 has no effect: a system has one namespace and its gateway one listener",
      '10 no service products is declared; did you mean "product"?',
      "10 has no effect: endpoints come from the registry with their ports",
    ],
  );
});

test("a cluster's other kinds are accepted with a warning, and lists are taken apart", () => {
  const text = `apiVersion: v1
kind: List
items:
  - apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: { name: gw }
    spec: { gatewayClassName: x, listeners: [] }
  - apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: { name: shop, namespace: a }
    spec: { rules: [{ backendRefs: [{ name: products, namespace: a }], x: 1 }] }
`;
  assert.deepEqual(problems(text), [
    "shop.yaml:11:75 spec.rules[0].x: unknown field; the fields here are name, matches, filters, backendRefs, timeouts, retry, sessionPersistence",
  ]);
  const { resources, warnings } = parseResources(readResourceDocuments(text.replace(", x: 1", ""), "x.yaml"));
  assert.deepEqual(
    resources.map(({ kind }) => kind),
    ["HTTPRoute"],
  );
  assert.deepEqual(
    warnings.map(({ message, place }) => `${place.line} ${message}`),
    [
      "5 has no effect: the system's gateway is described by `gateway` in the system, or by `weft gateway`",
      "11 has no effect: a system has one namespace",
    ],
  );
});

test("of routes that match alike the oldest wins, then the first by name; those without an age come last, as written", () => {
  const one = (name: string, creationTimestamp?: string) => ({
    ...route("/").to(name).named(name).resources()[0],
    metadata: { name, ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
  });
  const order = (...resources: ReturnType<typeof one>[]): string => {
    const runtime = createPolicyRuntime();
    runtime.applyResources(1, resources, []);
    const request = { method: "GET", scheme: "http", authority: "a", path: "/", protocol: "", fields: [], memo: null };
    return runtime.backendsOf(request)[0];
  };
  assert.equal(order(one("b"), one("a")), "b");
  assert.equal(order(one("a", "2026-02-01T00:00:00Z"), one("b", "2026-01-01T00:00:00Z")), "b");
  assert.equal(order(one("c"), one("b", "2026-01-01T00:00:00Z"), one("a", "2026-01-01T00:00:00Z")), "a");
});

test("what only together makes no sense is told too", () => {
  const [twice] = route("/a").to("x").resources();
  assert.throws(() => parseResources([twice, twice]), /two of kind HTTPRoute with this name/);
  assert.throws(() => parseResources(route("/a").resources()), /"backendRefs" is missing/);
  const both = route("/a").to("x").redirect({ scheme: "https" });
  assert.throws(() => parseResources(both.resources()), /a rule that redirects has no backendRefs/);
  assert.throws(() => parseResources([null, 3]), /must be a resource/);
  const unknown = { kind: "HTTPRoute", name: "nothing" } as const;
  const { warnings } = parseResources(traffic(unknown).retry(1).resources());
  assert.match(warnings[0].message, /there is no HTTPRoute nothing/);
});

test("builders make resources that are valid, and leave the builder that they came from as it was", () => {
  const plain = route("/v1/products").to({ "products@v1": 95, "products@v2": 5 });
  const more = plain
    .timeout("2s", 500)
    .retry(2, { codes: [503] })
    .header("x-a", "b")
    .rewrite("/")
    .mirror("shadow", 10)
    .named("all");
  assert.equal(plain.resources()[0].metadata.name, "v1-products");
  const policy = traffic("payments")
    .timeout("800ms")
    .retry(2)
    .breaker()
    .fallback({ status: "accepted", body: { queued: true } });
  const limit = rateLimit("orders.v1.Orders/Place").allow(10, "1m").byHeader("x-user");
  const resources = [plain, more, policy, limit].flatMap((builder) => builder.resources());
  const parsed = parseResources(resources);
  assert.equal(parsed.resources.length, 4);
  assert.deepEqual(parsed.resources[3].spec, {
    targetRefs: [{ kind: "Method", name: "orders.v1.Orders/Place" }],
    requests: 10,
    per: "1m",
    key: { by: "header", header: "x-user" },
  });
  assert.deepEqual(JSON.parse(JSON.stringify(resources)), resources);
});

test("wrong resources are refused as a whole and the ones before stay", () => {
  const runtime = createPolicyRuntime();
  runtime.applyResources(1, route("/a").to("x").resources(), []);
  const wrong = [...route("/b").to("x").resources(), { kind: "TrafficPolicy" }] as never;
  assert.throws(() => runtime.applyResources(2, wrong, []), WeftError);
  assert.equal(runtime.revision, 1);
});

test("whatever is given, it is accepted or refused with invalid_argument", () => {
  const kinds = fc.constantFrom("HTTPRoute", "GRPCRoute", "TrafficPolicy", "RateLimit", "x");
  const value = fc.record({ apiVersion: fc.string(), kind: kinds, metadata: fc.anything(), spec: fc.anything() });
  fc.assert(
    fc.property(fc.oneof(value, fc.anything()), (document) => {
      try {
        parseResources([document]);
      } catch (error) {
        assert.ok(error instanceof WeftError && error.code === "invalid_argument", String(error));
      }
    }),
  );
});

test("durations are read as written", () => {
  assert.equal(parseDuration("800ms"), 800);
  assert.equal(parseDuration("1.5s"), 1_500);
  assert.equal(parseDuration("1h30m"), 5_400_000);
  for (const wrong of ["", "5", "s", "-1s", "1 s", "1d", "1e3s"]) assert.equal(parseDuration(wrong), undefined);
  fc.assert(fc.property(fc.integer({ min: 0, max: 1e9 }), (ms) => parseDuration(formatDuration(ms)) === ms));
});
