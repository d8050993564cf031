import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignEntryOf } from "./foreign-endpoint.ts";

function instance(service: object = {}, checks: readonly string[] = [], node: object = {}): unknown {
  return {
    Node: { Node: "n1", Address: "10.0.0.9", ...node },
    Service: { ID: "web1", Service: "web", Tags: null, Address: "", Port: 80, Meta: null, Weights: null, ...service },
    Checks: checks.map((Status) => ({ Status })),
  };
}

test("what says little has the node's address, and defaults", () => {
  assert.deepEqual(foreignEntryOf(instance()), {
    endpoint: {
      id: "n1/web1",
      service: "web",
      host: "10.0.0.9",
      port: 80,
      version: "",
      zone: "",
      weight: 1,
      protocol: "http1",
      health: "healthy",
      metadata: {},
    },
    check: "healthy",
    owner: "",
    plane: "",
    ttlMs: Number.POSITIVE_INFINITY,
  });
});

test("its worst check is its health, and a state without weight is none", () => {
  const checkOf = (checks: string[], weights?: object): string =>
    foreignEntryOf(instance({ Weights: weights }, checks)).check;
  assert.equal(checkOf(["passing", "passing"]), "healthy");
  assert.equal(checkOf(["passing", "warning"]), "healthy");
  assert.equal(checkOf(["warning", "critical"]), "unhealthy");
  assert.equal(checkOf(["maintenance"]), "unhealthy");
  assert.equal(checkOf(["warning"], { Passing: 3, Warning: 0 }), "unhealthy");
  assert.equal(foreignEntryOf(instance({ Weights: { Passing: 3, Warning: 2 } }, ["warning"])).endpoint.weight, 2);
  assert.equal(foreignEntryOf(instance({ Weights: { Passing: 60_000 } })).endpoint.weight, 10_000);
});

test("protocol, version and zone come from meta, tags and locality; what is none of them here is left out", () => {
  const endpointOf = (service: object, node: object = {}) => foreignEntryOf(instance(service, [], node)).endpoint;
  assert.equal(endpointOf({ Tags: ["blue", "grpc"] }).protocol, "h2c");
  assert.equal(endpointOf({ Tags: ["grpc"], Meta: { protocol: "tcp" } }).protocol, "tcp");
  assert.equal(endpointOf({ Meta: { protocol: "gopher" } }).protocol, "http1");
  assert.equal(endpointOf({ Meta: { version: "v 1" } }).version, "");
  assert.equal(endpointOf({ Locality: { Zone: "a" } }, { Locality: { Zone: "b" } }).zone, "a");
  assert.equal(endpointOf({}, { Locality: { Region: "r", Zone: "b" } }).zone, "b");
  assert.equal(endpointOf({ Meta: { zone: "c" }, Locality: { Zone: "a" } }).zone, "c");
});

test("of meta as much is taken as an endpoint may have", () => {
  const Meta = {
    ...Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`k${i}`, "v"])),
    "a b": "no name",
    long: "x".repeat(1_025),
  };
  const { metadata } = foreignEntryOf(instance({ Meta, Tags: ["x", "y"] })).endpoint;
  assert.equal(metadata.tags, "x,y");
  assert.ok(Object.keys(metadata).length <= 64);
  assert.ok(!("a b" in metadata) && !("long" in metadata));
  const much = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, "x".repeat(512)]));
  foreignEntryOf(instance({ Meta: much }));
});

test("what cannot be an endpoint says why", () => {
  assert.throws(() => foreignEntryOf(instance({ Port: 0 })), /port must be an integer/);
  assert.throws(() => foreignEntryOf(instance({ Address: "not a host" })), /host must be/);
  assert.throws(() => foreignEntryOf(instance({ ID: "a b" })), /id must be/);
  assert.throws(() => foreignEntryOf(null), /no object where one belongs/);
});
