import assert from "node:assert/strict";
import { test } from "node:test";
import { type DataPlane, ENFORCEMENT, notEnforced } from "../../../policy/check/enforcement.ts";
import type { JsonSchema } from "../../../policy/resource/json-schema.ts";
import { RESOURCE_SHAPES } from "../../../policy/resource/resource-shapes.ts";
import type { Resource, ResourceKind } from "../../../policy/resource/resources.ts";
import { encodeResource } from "./encode.ts";
import { SAMPLES } from "./field-samples.case.ts";
import { meshDocuments } from "./mesh-documents.case.ts";

/* Nothing is dropped in silence: each field of each kind changes what Envoy (or gRPC) is told, or the table says why it does not. */

const KINDS = Object.keys(RESOURCE_SHAPES) as ResourceKind[];

test("the samples have every field of every kind in them", () => {
  const written = new Set(SAMPLES.flatMap((resource) => pathsOf(resource.spec, resource.kind)));
  const wanted = KINDS.flatMap((kind) => {
    const schema = RESOURCE_SHAPES[kind].schema as { properties: { spec: JsonSchema } };
    return leavesOf(schema.properties.spec, kind);
  });
  assert.deepEqual(
    wanted.filter(
      (path) =>
        !EXEMPT.test(path) &&
        !isToldWhole(path) &&
        ![...written].some((one) => one === path || one.startsWith(`${path}.`)),
    ),
    [],
  );
});

for (const plane of ["envoy", "grpc-xds"] as const) {
  test(`each field is translated for ${plane}, or the table says why it is not`, () => {
    const silent: string[] = [];
    const found = new Map<string, boolean>();
    SAMPLES.forEach((sample) => {
      RESOURCE_SHAPES[sample.kind](sample, [], (path, message) =>
        assert.fail(`${sample.kind} ${path.join(".")}: ${message}`),
      );
      const before = translated(sample, plane, true);
      const tabled = notEnforced(sample, plane).map(({ path }) => path.join("/"));
      visit(sample.spec, ["spec"], sample.kind, (path, key, value) => {
        if (EXEMPT.test(key) || found.get(key) === true) return;
        const told = tabled.some((one) => `${path.join("/")}/`.startsWith(`${one}/`));
        if (told) return void found.set(key, true);
        // What nothing else may stand for is said by what stands beside it.
        const others = mutations(sample, path, value);
        found.set(key, others.length === 0 || others.some((other) => translated(other, plane) !== before));
      });
    });
    for (const [key, ok] of found) if (!ok) silent.push(key);
    assert.deepEqual(silent, []);
  });
}

/** What has no effect anywhere, or names what the rest is about. */
const EXEMPT =
  /Refs\.(group|namespace|port|kind|sectionName|name)$|Ref\.(group|namespace|port|kind)$|^[A-Za-z]+\.rules\.name$|Authorization\.rules\.name|providers\.name$|\.use$|requestMirror\.backendRef\.(filters|weight)/;

/** Part of what neither enforces, as a whole. */
function isToldWhole(path: string): boolean {
  const parts = path.split(".");
  return parts.some((_, i) => {
    const row = ENFORCEMENT[parts.slice(0, i + 1).join(".")];
    return row?.envoy !== undefined && (row["grpc-xds"] !== undefined || parts[0] === "Authentication");
  });
}

function translated(resource: Resource, plane: DataPlane, encodes = false): string {
  const { kind, metadata } = resource;
  const resources = [
    ...HELPERS.filter((helper) => helper.kind !== kind || helper.metadata.name !== metadata.name),
    resource,
  ];
  const roles = plane === "envoy" ? (["gateway", "sidecar"] as const) : (["client"] as const);
  const documents = roles.flatMap((role) => meshDocuments(resources, role));
  if (encodes) for (const [typeUrl, , document] of documents) encodeResource(typeUrl, document);
  return JSON.stringify(documents, (key, value) => (key === "trusted_ca" || key === "mappers" ? undefined : value));
}

/** Without them some samples would be about nothing. */
const HELPERS: readonly Resource[] = SAMPLES.filter(({ metadata }) => metadata.labels?.helper === "true");

function* mutated(value: unknown): Generator<unknown> {
  yield undefined;
  if (typeof value === "number") yield* [value + 1, value - 1, value / 2];
  else if (typeof value === "boolean") yield !value;
  else if (typeof value === "string") {
    yield* [
      "RegularExpression",
      "unavailable",
      "unix-timestamp",
      "Header",
      "any",
      "server",
      "other.test:9",
      "jwt:other",
      "ES256",
    ];
    yield* ["7s", `${value}x`, "v2", "10.9.0.0/16", "OTHER"];
    yield* [
      "token-bucket",
      "off",
      "shadow",
      "least-request",
      "random",
      "GET",
      "Exact",
      "Cookie",
      "cookie",
      "none",
      "full",
      "cpu",
      "aware",
      "deny",
      "open",
    ];
  }
}

function mutations(resource: Resource, path: readonly (string | number)[], value: unknown): Resource[] {
  const made: Resource[] = [];
  for (const other of mutated(value)) {
    if (other === value) continue;
    const copy = structuredClone(resource) as unknown as Record<string | number, unknown>;
    let at = copy;
    for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
    const last = path[path.length - 1];
    if (other !== undefined) at[last] = other;
    else if (Array.isArray(at)) at.splice(Number(last), 1);
    else delete at[last];
    let wrong = false;
    RESOURCE_SHAPES[resource.kind](copy, [], () => (wrong = true));
    if (!wrong) made.push(copy as unknown as Resource);
  }
  return made;
}

type Visitor = (path: readonly (string | number)[], key: string, value: unknown) => void;

function visit(value: unknown, path: readonly (string | number)[], key: string, visitor: Visitor): void {
  if (Array.isArray(value)) for (const [i, item] of value.entries()) visit(item, [...path, i], key, visitor);
  else if (typeof value === "object" && value !== null) {
    for (const [name, item] of Object.entries(value)) visit(item, [...path, name], `${key}.${name}`, visitor);
  } else visitor(path, key, value);
}

function pathsOf(value: unknown, key: string): string[] {
  const paths: string[] = [];
  visit(value, [], key, (_path, found) => paths.push(found));
  return paths;
}

function leavesOf(schema: JsonSchema, key: string): string[] {
  if (typeof schema === "boolean") return schema ? [key] : [];
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.flatMap((one) => leavesOf(one, key)))];
  if (schema.items !== undefined) return leavesOf(schema.items, key);
  const { properties = {} } = schema;
  const names = Object.keys(properties);
  if (names.length === 0) return [key];
  return names.flatMap((name) => leavesOf(properties[name], `${key}.${name}`));
}
