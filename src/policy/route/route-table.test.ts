import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CallRequest } from "../call.ts";
import { GATEWAY_API, type GRPCRoute, type HTTPRoute } from "../resource/resources.ts";
import { compilePattern } from "./pattern.ts";
import { routeEntries } from "./route-entries.ts";
import { hostOf, pathOf, type RouteEntry, RouteTable } from "./route-table.ts";

let order = 0;
function entry<T>(target: T, parts: Partial<RouteEntry<T>> = {}): RouteEntry<T> {
  const rest = { hostnames: [], path: prefix("/"), method: "", grpc: false, headers: [], query: [], patterns: [] };
  const all = { ...rest, preflight: false, order: order++, target, ...parts };
  const plain =
    all.method === "" && !all.grpc && [all.headers, all.query, all.patterns].every(({ length }) => length === 0);
  return { ...all, plain };
}
type Path = RouteEntry<string>["path"];
const prefix = (value: string): Path => ({ kind: "prefix", value });
const exact = (value: string): Path => ({ kind: "exact", value });
const method = (value: string): Path => ({ kind: "method", value });
const pattern = (value: string): Path => ({ kind: "pattern", value, pattern: compilePattern(value) });

function http(method: string, path: string, fields: readonly string[] = [], authority = "shop"): CallRequest {
  return { method, scheme: "http", authority, path, protocol: "", fields, memo: null };
}
const grpc = (path: string): CallRequest => http("POST", path, ["content-type", "application/grpc"]);

test("exact paths come before prefixes, longer prefixes before shorter, whole segments only", () => {
  const table = new RouteTable([
    entry("root", { path: prefix("/") }),
    entry("v1", { path: prefix("/v1") }),
    entry("products", { path: prefix("/v1/products/") }),
    entry("one", { path: exact("/v1/products/1") }),
  ]);
  const found = (path: string): string | undefined => table.find(http("GET", path))?.target;
  assert.equal(found("/v1/products/1"), "one");
  assert.equal(found("/v1/products/1?x=/v1"), "one");
  assert.equal(found("/v1/products/2"), "products");
  assert.equal(found("/v1/products"), "products");
  assert.equal(found("/v1/productsx"), "v1");
  assert.equal(found("/v10"), "root");
  assert.equal(found("/x/%2e./v1/products/1"), "one");
});

test("regular expressions come after exact paths and before prefixes, the longest first, and match whole paths", () => {
  const table = new RouteTable([
    entry("prefix", { path: prefix("/v1/orders") }),
    entry("number", { path: pattern("/v1/orders/[0-9]+") }),
    entry("ten", { path: exact("/v1/orders/10") }),
    entry("any", { path: pattern("/v[0-9]/.*") }),
  ]);
  const found = (path: string): string | undefined => table.find(http("GET", path))?.target;
  assert.equal(found("/v1/orders/10"), "ten");
  assert.equal(found("/v1/orders/11"), "number");
  assert.equal(found("/v1/orders/11/items"), "any");
  assert.equal(found("/v1/orders"), "any");
  assert.equal(found("/v12/orders"), undefined);
});

test("hosts: exact before the longest wildcard before any; one without a matching path falls through", () => {
  const table = new RouteTable([
    entry("any"),
    entry("wild", { hostnames: ["*.shop.example"] }),
    entry("wilder", { hostnames: ["*.example"] }),
    entry("host", { hostnames: ["a.shop.example"], path: prefix("/only") }),
  ]);
  const found = (authority: string, path = "/"): string | undefined =>
    table.find(http("GET", path, [], authority))?.target;
  assert.equal(found("A.shop.example:8080", "/only"), "host");
  assert.equal(found("a.shop.example"), "wild");
  assert.equal(found("b.c.shop.example"), "wild");
  assert.equal(found("shop.example"), "wilder");
  assert.equal(found("[::1]:80"), "any");
  for (const full of ["a.shop.example.", "A.shop.example.:443"]) assert.equal(found(full, "/only"), "host", full);
});

test("a path is not another route's when it is spelled otherwise", () => {
  const few = [entry("rest"), entry("admin", { path: prefix("/admin") }), entry("exact", { path: exact("/login") })];
  const many = [1, 2, 3].map((n) => entry(`other${n}`, { path: prefix(`/other/${n}`) }));
  for (const table of [new RouteTable(few), new RouteTable([...few, ...many])]) {
    const found = (path: string): string | undefined => table.find(http("GET", path))?.target;
    for (const path of ["/%61dmin/users", "//admin/users", "/x/..//admin", "/%2e%2f../%61dmi%6e", "/./admin?x=/.."])
      assert.equal(found(path), path.includes("%2f") ? "rest" : "admin", path);
    for (const path of ["//login", "/%6Cogin", "/a/%2E./login"]) assert.equal(found(path), "exact", path);
  }
});

test("a path too long to be matched by an expression is not another route's", () => {
  const secret = entry("secret", {
    path: { kind: "pattern", value: "/admin/.*", pattern: compilePattern("/admin/.*") },
  });
  const table = new RouteTable([entry("rest"), secret]);
  const found = (path: string): string | undefined => table.find(http("GET", path))?.target;
  assert.equal(found("/admin/x"), "secret");
  assert.equal(found(`/admin/${"x".repeat(4_096)}`), undefined);
  assert.equal(found(`/admin/x?${"x".repeat(4_096)}`), "secret");
  assert.equal(new RouteTable([entry("rest")]).find(http("GET", `/${"x".repeat(9_000)}`))?.target, "rest");
});

test("then method, number of headers, number of query parameters, first written", () => {
  const table = new RouteTable([
    entry("first"),
    entry("second"),
    entry("query", { query: ["a", "1"] }),
    entry("header", { headers: ["x-lane", "blue"] }),
    entry("headers", {
      headers: ["x-lane", "blue"],
      patterns: [{ in: "header", name: "x-user", pattern: compilePattern("[0-9]+") }],
    }),
    entry("post", { method: "POST" }),
    entry("grpc", { grpc: true, path: prefix("/p.P") }),
  ]);
  assert.equal(table.find(http("GET", "/"))?.target, "first");
  assert.equal(table.find(http("GET", "/?b=2&a=1"))?.target, "query");
  assert.equal(table.find(http("GET", "/?a=1", ["x-lane", "blue"]))?.target, "header");
  assert.equal(table.find(http("GET", "/", ["x-user", "7", "x-lane", "blue"]))?.target, "headers");
  assert.equal(table.find(http("GET", "/", ["x-user", "seven", "x-lane", "blue"]))?.target, "header");
  assert.equal(table.find(http("POST", "/", ["x-lane", "blue"]))?.target, "post");
  assert.equal(table.find(grpc("/p.P/Get"))?.target, "grpc");
  assert.equal(table.find(http("GET", "/p.P/Get"))?.target, "first");
});

test("gRPC methods: service and method, then service, then method of any service, then any", () => {
  const rule = (name: string, match: object): GRPCRoute["spec"]["rules"][number] => ({
    matches: [{ method: match }],
    backendRefs: [{ name }],
  });
  const route: GRPCRoute = {
    apiVersion: GATEWAY_API,
    kind: "GRPCRoute",
    metadata: { name: "g" },
    spec: {
      rules: [
        { backendRefs: [{ name: "any" }] },
        rule("method", { method: "Get" }),
        rule("service", { service: ".p.P" }),
        rule("both", { service: "p.P", method: "Get" }),
        rule("like", { type: "RegularExpression", service: "q\\..*", method: "(Get|Set)" }),
        rule("like-method", { type: "RegularExpression", method: "Del.*" }),
      ],
    },
  };
  const table = new RouteTable(routeEntries(route, 0));
  const found = (path: string): string | undefined => table.find(grpc(path))?.target.rule.backends[0].service;
  assert.equal(found("/p.P/Get"), "both");
  assert.equal(found("/p.P/Set"), "service");
  assert.equal(found("/x.X/Get"), "method");
  assert.equal(found("/x.X/Set"), "any");
  assert.equal(found("/q.Q/Set"), "like");
  assert.equal(found("/q.Q/Sets"), "any");
  assert.equal(found("/x.X/Delete"), "like-method");
  assert.equal(table.find(http("POST", "/p.P/Get")), null);
});

test("of several conditions on one header only the first counts", () => {
  const headers = [
    { name: "X-Lane", value: "blue" },
    { name: "x-lane", value: "green" },
  ];
  const route: HTTPRoute = {
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: { name: "h" },
    spec: { rules: [{ matches: [{ headers }], backendRefs: [{ name: "a" }] }] },
  };
  const table = new RouteTable(routeEntries(route, 0));
  assert.ok(table.find(http("GET", "/", ["x-lane", "blue"])));
  assert.equal(table.find(http("GET", "/", ["x-lane", "green"])), null);
});

test("a prefix below another, whichever comes first, and with slashes that say nothing", () => {
  for (const paths of [
    ["/a", "/a/b", "/a/b/c", "/d", "/e", "/f"],
    ["/f", "/e", "/d", "/a/b/c", "/a/b/", "/a"],
  ]) {
    const table = new RouteTable(paths.map((path) => entry(path.replace(/\/$/, ""), { path: prefix(path) })));
    const found = (path: string): string | undefined => table.find(http("GET", path))?.target;
    assert.deepEqual(["/a", "/a/x", "/a/b", "/a/b/x", "/a/b/c", "/a/b/c/", "/d/x", "/x"].map(found), [
      "/a",
      "/a",
      "/a/b",
      "/a/b",
      "/a/b/c",
      "/a/b/c",
      "/d",
      undefined,
    ]);
  }
});

test("a preflight matches what it asks for where a CORS filter answers it", () => {
  const table = new RouteTable([
    entry("plain", { method: "PUT" }),
    entry("cors", { method: "PUT", preflight: true, path: prefix("/api") }),
  ]);
  const ask = ["origin", "https://a.example", "access-control-request-method", "PUT"];
  assert.equal(table.find(http("OPTIONS", "/api/x", ask))?.target, "cors");
  assert.equal(table.find(http("OPTIONS", "/api/x")), null);
  assert.equal(table.find(http("OPTIONS", "/x", ask)), null);
});

// --- against a matcher that compares everything -------------------------------------------------------------------

const segment = fc.constantFrom("a", "b", "p.P", "Get");
const pathText = fc.array(segment, { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
const host = fc.constantFrom("a.x", "*.x", "*.b.x", "b.x", "*");
const somePath: fc.Arbitrary<Path> = fc.oneof(
  pathText.map(prefix),
  pathText.map(exact),
  fc.constantFrom("/a", "/(a|b)(/.*)?", ".*", "/p\\.P/[A-Z].*").map(pattern),
  fc.constantFrom("Get", "a").map(method),
);
const pairs = fc.uniqueArray(fc.tuple(fc.constantFrom("h1", "h2"), fc.constantFrom("1", "2")), {
  maxLength: 2,
  selector: ([name]) => name,
});
const conditions = fc.record({
  hostnames: fc.array(host, { maxLength: 2 }),
  path: somePath,
  method: fc.constantFrom("", "", "GET", "POST"),
  grpc: fc.constantFrom(false, false, true),
  headers: pairs.map((all) => all.flat()),
  query: pairs.map((all) => all.flat()),
  preflight: fc.boolean(),
});
const requests = fc
  .record({
    method: fc.constantFrom("GET", "POST", "OPTIONS"),
    path: fc.oneof(
      pathText,
      pathText.map((path) => `${path}?h1=1`),
    ),
    fields: fc.subarray(["h1", "h2", "grpc", "ask"]),
    authority: fc.constantFrom("a.x", "b.x", "c.b.x:80", "x", "z"),
  })
  .map(({ method, path, fields, authority }) => {
    const values: Record<string, readonly string[]> = {
      h1: ["h1", "1"],
      h2: ["h2", "2"],
      grpc: ["content-type", "application/grpc+proto"],
      ask: ["access-control-request-method", "GET"],
    };
    return http(
      method,
      path,
      fields.flatMap((name) => values[name]),
      authority,
    );
  });

/** Every entry with each of its hosts, tried one by one. The order of hosts and paths is written out here once more, in numbers. */
function reference(entries: readonly RouteEntry<number>[], request: CallRequest): number | null {
  const host = hostOf(request.authority);
  const path = pathOf(request);
  const query = new URLSearchParams(request.path.split("?")[1] ?? "");
  const has = (name: string, value: string): boolean =>
    request.fields.some((field, i) => i % 2 === 0 && field === name && request.fields[i + 1] === value);
  const candidates: { score: number[]; target: number }[] = [];
  for (const { hostnames, path: wanted, target, ...rest } of entries) {
    for (const name of hostnames.length === 0 ? ["*"] : hostnames) {
      const wild = name.startsWith("*");
      if (name !== "*" && (wild ? !host.endsWith(name.slice(1)) : host !== name)) continue;
      const bare = wanted.value.replace(/\/+$/, "");
      const matches = {
        exact: path === wanted.value,
        prefix: path === bare || path.startsWith(`${bare}/`),
        pattern: new RegExp(`^(?:${wanted.value})$`).test(path),
        method: path.split("/").length === 3 && path.endsWith(`/${wanted.value}`),
      }[wanted.kind];
      if (!matches) continue;
      const asks = rest.preflight && request.method === "OPTIONS" && has("access-control-request-method", rest.method);
      if (rest.method !== "" && rest.method !== request.method && !asks) continue;
      if (rest.grpc && !has("content-type", "application/grpc+proto")) continue;
      const pairsOf = (flat: readonly string[]): [string, string][] =>
        flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]] as [string, string]] : []));
      if (!pairsOf(rest.headers).every(([header, value]) => has(header, value))) continue;
      if (!pairsOf(rest.query).every(([parameter, value]) => query.get(parameter) === value)) continue;
      const paths = {
        exact: [4, 0],
        pattern: [3, wanted.value.length],
        prefix: bare === "" ? [0, 0] : [2, bare.length],
        method: [1, 0],
      };
      candidates.push({
        score: [
          wild ? 0 : 1,
          name === "*" ? 0 : name.length,
          ...paths[wanted.kind],
          rest.method === "" ? 0 : 1,
          rest.headers.length,
          rest.query.length,
          -rest.order,
        ],
        target,
      });
    }
  }
  candidates.sort((a, b) => {
    const at = a.score.findIndex((value, i) => value !== b.score[i]);
    return at < 0 ? 0 : b.score[at] - a.score[at];
  });
  return candidates.at(0)?.target ?? null;
}

test("finds what a matcher finds that compares every entry", () => {
  fc.assert(
    fc.property(
      fc.array(conditions, { maxLength: 16 }),
      fc.array(requests, { minLength: 1, maxLength: 6 }),
      (all, asked) => {
        const entries = all.map((parts, i) => entry(i, { ...(parts as Partial<RouteEntry<number>>), order: i }));
        const table = new RouteTable(entries);
        for (const request of asked) assert.equal(table.find(request)?.target ?? null, reference(entries, request));
      },
    ),
    { numRuns: 300 },
  );
});

test("a look-up compares as few entries among 10,000 routes as among 10", () => {
  const compared = (count: number): number => {
    let seen = 0;
    const entries = Array.from({ length: count }, (_, i) => {
      const path = i % 2 === 0 ? exact(`/v1/things-${i}/list`) : prefix(`/v1/things-${i}`);
      const one = entry(i, { path });
      const plain = (): boolean => {
        seen++;
        return true;
      };
      return Object.defineProperty({ ...one }, "plain", { get: plain });
    });
    const table = new RouteTable(entries);
    seen = 0;
    for (let i = 0; i < 10; i++) {
      const at = Math.floor((i * count) / 10);
      assert.equal(table.find(http("GET", `/v1/things-${at}${at % 2 === 0 ? "/list" : "/7"}`))?.target, at);
    }
    return seen;
  };
  assert.equal(compared(10), 10);
  assert.equal(compared(10_000), 10);
});
