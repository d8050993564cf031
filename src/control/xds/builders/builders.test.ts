import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster_DiscoveryType, ClusterSchema } from "../../../contract/gen/envoy/config/cluster/v3/cluster.ts";
import { ClusterLoadAssignmentSchema } from "../../../contract/gen/envoy/config/endpoint/v3/endpoint.ts";
import { RouteConfigurationSchema } from "../../../contract/gen/envoy/config/route/v3/route.ts";
import { type DescMessage, fromBinary, toJson } from "../../../contract/runtime.ts";
import { StaticSource } from "../static-source.ts";
import { CLUSTER, ENDPOINTS, ROUTE, type XdsResource } from "../types.ts";
import { cluster } from "./cluster.ts";
import { endpoints } from "./endpoints.ts";
import { listener } from "./listener.ts";
import { route, routeConfiguration, virtualHost } from "./routes.ts";

// biome-ignore lint/suspicious/noExplicitAny: JSON of a message
const json = (schema: DescMessage, { bytes }: XdsResource): any => toJson(schema, fromBinary(schema, bytes));

test("a cluster is static, resolved by name or told its endpoints, by what it is given", () => {
  const kind = (resource: XdsResource) => fromBinary(ClusterSchema, resource.bytes).clusterDiscoveryType.value;
  assert.equal(kind(cluster("a", { endpoints: ["10.0.0.1:80", "[::1]:80"] })), Cluster_DiscoveryType.STATIC);
  assert.equal(kind(cluster("a", { endpoints: ["a.local:80"] })), Cluster_DiscoveryType.STRICT_DNS);
  const told = cluster("a");
  assert.equal(kind(told), Cluster_DiscoveryType.EDS);
  assert.deepEqual(told.needs, [{ typeUrl: ENDPOINTS, name: "a" }]);
});

test("what the options do not have is laid over by the message", () => {
  const { connectTimeout, perConnectionBufferLimitBytes } = json(
    ClusterSchema,
    cluster("a", { endpoints: [], connectTimeoutMs: 250, message: { perConnectionBufferLimitBytes: 4096 } }),
  );
  assert.deepEqual([connectTimeout, perConnectionBufferLimitBytes], ["0.250s", 4096]);
});

test("endpoints are grouped by priority and zone", () => {
  const { endpoints: groups } = json(
    ClusterLoadAssignmentSchema,
    endpoints("a", [
      "10.0.0.1:1",
      { address: "10.0.0.2:1", zone: "z", weight: 3, metadata: { version: "v2" } },
      "10.0.0.3:1",
    ]),
  );
  assert.deepEqual(
    groups.map((group: { lbEndpoints: unknown[] }) => group.lbEndpoints.length),
    [2, 1],
  );
  assert.equal(groups[1].locality.zone, "z");
  assert.deepEqual(groups[1].lbEndpoints[0].metadata.filterMetadata["envoy.lb"], { version: "v2" });
});

test("a route configuration needs the clusters that its routes name", () => {
  const routes = routeConfiguration("main", [
    virtualHost(
      "all",
      ["*"],
      [
        route({ path: "/a", method: "GET" }, { to: { a: 90, b: 10 }, timeoutMs: 500 }),
        route("/old", { redirect: { path: "/new", status: 308 } }),
        route("/teapot", { respond: { status: 418, body: "short and stout" } }),
      ],
    ),
  ]);
  assert.deepEqual(routes.needs, [
    { typeUrl: CLUSTER, name: "a" },
    { typeUrl: CLUSTER, name: "b" },
  ]);
  const [{ routes: list }] = json(RouteConfigurationSchema, routes).virtualHosts;
  assert.deepEqual(list[0].match.headers, [{ name: ":method", stringMatch: { exact: "GET" } }]);
  assert.equal(list[1].redirect.responseCode, "PERMANENT_REDIRECT");
  assert.deepEqual(list[2].directResponse, { status: 418, body: { inlineString: "short and stout" } });
});

test("a listener needs its routes, or its cluster", () => {
  assert.deepEqual(listener("in", { address: "0.0.0.0:80", routes: "main" }).needs, [{ typeUrl: ROUTE, name: "main" }]);
  assert.deepEqual(listener("orders", { grpcClient: true, routes: "main" }).needs, [{ typeUrl: ROUTE, name: "main" }]);
  assert.deepEqual(listener("raw", { address: "0.0.0.0:80", tcp: "db" }).needs, [{ typeUrl: CLUSTER, name: "db" }]);
});

test("what is wrong is refused with the option's name", () => {
  const wrong: [() => unknown, object][] = [
    [() => cluster("", { endpoints: [] }), { reason: "NO_NAME" }],
    [() => cluster("a", { endpoints: ["nowhere"] }), { reason: "BAD_ADDRESS", place: { field: "endpoints" } }],
    [() => cluster("a", { connectTimeoutMs: -1 }), { reason: "BAD_DURATION" }],
    [() => cluster("a", { limits: { requests: 1.5 } }), { reason: "BAD_NUMBER", place: { field: "limits.requests" } }],
    [() => listener("in", { address: "0.0.0.0:80" }), { reason: "BAD_LISTENER" }],
    [() => listener("in", { routes: "main" }), { reason: "BAD_LISTENER", place: { field: "address" } }],
    [() => listener("in", { routes: "main", grpcClient: true, address: "0.0.0.0:80" }), { reason: "BAD_LISTENER" }],
    [() => route("/", {}), { reason: "BAD_ROUTE" }],
    [() => route("/", { to: "a", respond: { status: 200 } }), { reason: "BAD_ROUTE" }],
    [() => route({ prefix: "/", path: "/" }, { to: "a" }), { reason: "BAD_MATCH" }],
    [
      () => routeConfiguration("r", [virtualHost("a", ["*"], []), virtualHost("b", ["*"], [])]),
      { reason: "SAME_DOMAIN" },
    ],
    [() => new StaticSource([cluster("a"), cluster("a")]), { reason: "SAME_NAME" }],
  ];
  for (const [make, error] of wrong) assert.throws(make, error);
});

test("an update keeps what stayed as it was", () => {
  const source = new StaticSource([cluster("a"), endpoints("a", ["10.0.0.1:1"])]);
  const feed = source.open(null, () => {});
  const before = feed.snapshot;
  source.update([cluster("a"), endpoints("a", ["10.0.0.2:1"])]);
  assert.equal(feed.snapshot.resources.get(CLUSTER), before.resources.get(CLUSTER));
  assert.notEqual(feed.snapshot.resources.get(ENDPOINTS), before.resources.get(ENDPOINTS));
});
