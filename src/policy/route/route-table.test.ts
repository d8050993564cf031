import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grpc, http } from "../machine/call.case.ts";
import { type RouteEntry, RouteTable } from "./route-table.ts";

let order = 0;
function entry(target: string, parts: Partial<RouteEntry<string>> = {}): RouteEntry<string> {
  const path = { exact: false, value: "/" };
  return { hostnames: [], path, method: "", grpc: false, headers: [], query: [], order: order++, target, ...parts };
}
const prefix = (value: string): RouteEntry<string>["path"] => ({ exact: false, value });
const exact = (value: string): RouteEntry<string>["path"] => ({ exact: true, value });

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
});

test("then method, number of headers, number of query parameters, first written", () => {
  const table = new RouteTable([
    entry("first"),
    entry("second"),
    entry("query", { query: ["a", "1"] }),
    entry("header", { headers: ["x-lane", "blue"] }),
    entry("headers", { headers: ["x-lane", "blue", "x-user", "7"] }),
    entry("post", { method: "POST" }),
    entry("grpc", { grpc: true, path: prefix("/p.P") }),
  ]);
  assert.equal(table.find(http("GET", "/"))?.target, "first");
  assert.equal(table.find(http("GET", "/?b=2&a=1"))?.target, "query");
  assert.equal(table.find(http("GET", "/?a=1", ["x-lane", "blue"]))?.target, "header");
  assert.equal(table.find(http("GET", "/", ["x-user", "7", "x-lane", "blue"]))?.target, "headers");
  assert.equal(table.find(http("POST", "/", ["x-lane", "blue"]))?.target, "post");
  assert.equal(table.find(grpc("/p.P/Get"))?.target, "grpc");
  assert.equal(table.find(http("GET", "/p.P/Get"))?.target, "first");
});

test("finds what a search through all prefixes finds", () => {
  const segment = fc.constantFrom("a", "b", "c");
  const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(fc.uniqueArray(path, { maxLength: 12 }), path, (prefixes, asked) => {
      const table = new RouteTable(prefixes.map((value) => entry(value, { path: prefix(value) })));
      const matching = prefixes.filter((value) => value === "/" || asked === value || asked.startsWith(`${value}/`));
      const longest = matching.sort((a, b) => b.length - a.length)[0];
      assert.equal(table.find(http("GET", asked))?.target, longest);
    }),
  );
});
