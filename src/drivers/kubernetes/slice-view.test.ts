import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint } from "../../core/endpoint.ts";
import type { BackendChange, KeptEntry } from "../../registry/endpoint-backend.ts";
import type { EndpointEntry } from "../../registry/endpoint-value.ts";
import { type ApiObject, parseObject } from "./api-resource.ts";
import type { ObjectEvent } from "./list-watch.ts";
import { SliceView } from "./slice-view.ts";
import { encodeSlice } from "./weft-slice.ts";

function endpoint(id: string, part: Partial<Endpoint> = {}): Endpoint {
  return {
    id,
    service: "orders",
    host: "10.0.0.1",
    port: 9_000,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
    ...part,
  };
}

function entry(id: string, part: Partial<Endpoint> = {}, plane = "p1"): EndpointEntry {
  return { endpoint: endpoint(id, part), check: "healthy", owner: `owner-${id}`, plane, ttlMs: 3_000 };
}

function own(given: EndpointEntry, version: number, system = "shop"): ApiObject {
  const slice = encodeSlice(given, system);
  return parseObject({ ...slice, metadata: { ...slice.metadata, uid: "u", resourceVersion: String(version) } });
}

/** As Kubernetes makes one for the Service "orders". */
function others(name: string, version: number, hosts: readonly string[], ready = true): ApiObject {
  return parseObject({
    metadata: { name, resourceVersion: String(version), labels: { "kubernetes.io/service-name": "orders" } },
    addressType: "IPv4",
    endpoints: hosts.map((host) => ({ addresses: [host], conditions: { ready } })),
    ports: [{ name: "grpc", port: 9_000, protocol: "TCP" }],
  });
}

function view(system = "shop", dead: ReadonlySet<string> = new Set()) {
  const unusable: string[] = [];
  const isDead = (plane: string) => dead.has(plane);
  return {
    view: new SliceView({ system, isDead, versionOf: Number, onUnusable: ({ message }) => unusable.push(message) }),
    unusable,
  };
}

const put = (object: ApiObject): ObjectEvent => ({ kind: "put", object });
const gone = (object: ApiObject): ObjectEvent => ({ kind: "deleted", object });
const shown = (changes: readonly BackendChange[]) =>
  changes.map((change) => (change.kind === "put" ? `+${change.entry.endpoint.id}` : `-${change.id}`)).sort();

test("S1 applying the changes in order gives what is listed", () => {
  const step = fc.record({
    what: fc.constantFrom("own", "moved", "others", "drop own", "drop others", "die", "live"),
    number: fc.integer({ min: 1, max: 4 }),
    more: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const dead = new Set<string>();
      const { view: seen } = view("shop", dead);
      const objects = new Map<string, ApiObject>();
      const applied = new Map<string, KeptEntry>();
      let version = 10;
      const apply = (changes: readonly BackendChange[]) => {
        for (const change of changes) {
          if (change.kind === "removed") assert.ok(applied.delete(change.id), "what was not there was removed");
          else applied.set(change.entry.endpoint.id, change);
        }
      };
      const take = (object: ApiObject) => {
        objects.set(object.metadata.name, object);
        apply(seen.take([put(object)]));
      };
      for (const { what, number, more } of steps) {
        version++;
        const name = what === "drop own" ? own(entry(`o-${number}`), 1).metadata.name : `slice-${number}`;
        if (what === "own") take(own(entry(`o-${number}`, { host: `10.0.0.${more}` }, `p${more}`), version));
        else if (what === "moved") take(own(entry(`o-${number}`, { service: `s${more}` }), version));
        else if (what === "others") take(others(`slice-${number}`, version, ["10.0.0.1", `10.0.0.${more}`]));
        else if (what === "die" || what === "live") {
          if (what === "die") dead.add(`p${number}`);
          else dead.delete(`p${number}`);
          apply(seen.planeChanged(`p${number}`));
        } else {
          const object = objects.get(name);
          if (object === undefined) continue;
          objects.delete(name);
          const { metadata, content } = object;
          apply(seen.take([gone({ metadata: { ...metadata, resourceVersion: String(version) }, content })]));
        }
      }
      const plain = (kept: Iterable<KeptEntry>) =>
        Array.from(kept, ({ entry: { endpoint: one, owner }, orphaned }) => [
          one.id,
          one.service,
          owner,
          orphaned,
        ]).sort();
      const listed = view("shop", dead).view.listed([...objects.values()], String(version));
      assert.deepEqual(plain(applied.values()), plain(listed));
    }),
  );
});

test("S2 a pod that registers itself and is behind a Service is one endpoint", () => {
  const { view: seen } = view();
  assert.deepEqual(shown(seen.take([put(others("a", 1, ["10.0.0.1", "10.0.0.2"]))])), [
    "+orders/10.0.0.1:9000",
    "+orders/10.0.0.2:9000",
  ]);
  const registered = own(entry("orders-1"), 2);
  assert.deepEqual(shown(seen.take([put(registered)])), ["+orders-1", "-orders/10.0.0.1:9000"]);
  assert.deepEqual(seen.take([put(others("a", 3, ["10.0.0.1", "10.0.0.2"]))]), []);
  assert.deepEqual(shown(seen.take([gone(registered)])), ["+orders/10.0.0.1:9000", "-orders-1"]);
});

test("S3 an address that moves from slice to slice stays, as its newer slice has it", () => {
  const { view: seen } = view();
  seen.take([put(others("a", 1, ["10.0.0.1"]))]);
  const changes = seen.take([put(others("b", 2, ["10.0.0.1"], false)), gone(others("a", 3, ["10.0.0.1"]))]);
  assert.deepEqual(
    changes.map((change) => change.kind === "put" && change.entry.endpoint.health),
    ["unhealthy"],
  );
  assert.deepEqual(shown(seen.take([gone(others("b", 4, []))])), ["-orders/10.0.0.1:9000"]);
});

test("S4 another system's are nobody's here, and what cannot be read is told and left out", () => {
  const { view: seen, unusable } = view();
  assert.deepEqual(seen.take([put(own(entry("orders-1"), 1, "other"))]), []);
  const good = own(entry("orders-1"), 2);
  const { content, metadata } = good;
  const annotations = { "weftmesh.dev/entry": '{"endpoint":{"id":"x"}}' };
  assert.deepEqual(seen.take([put({ content, metadata: { ...metadata, annotations } })]), []);
  assert.deepEqual(seen.take([put({ content, metadata: { ...metadata, name: "weft-shop-stolen" } })]), []);
  assert.deepEqual(seen.take([put(others("b", 3, ["not an address"]))]), []);
  assert.equal(unusable.length, 3);
  assert.match(unusable[1], /weft-shop-stolen cannot be used: it is of "orders-1"/);
  assert.deepEqual(shown(seen.take([put(good), put(others("b", 4, ["10.0.0.3"]))])), [
    "+orders-1",
    "+orders/10.0.0.3:9000",
  ]);
});

test("an entry of a plane that is dead is an orphan, and none when the plane is back", () => {
  const dead = new Set<string>();
  const { view: seen } = view("shop", dead);
  seen.take([put(own(entry("orders-1"), 1)), put(own(entry("orders-2", { host: "10.0.0.2" }, "p2"), 2))]);
  const orphans = () =>
    seen.planeChanged("p2").map((change) => change.kind === "put" && [change.entry.plane, change.orphaned]);
  dead.add("p2");
  assert.deepEqual(orphans(), [["p2", true]]);
  assert.deepEqual(orphans(), []);
  dead.delete("p2");
  assert.deepEqual(orphans(), [["p2", false]]);
});
