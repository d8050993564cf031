import assert from "node:assert/strict";
import { test } from "node:test";
import { route } from "../builders.ts";
import { type Call, Effect } from "../call.ts";
import { context, endpoint, http, world } from "../machine/call.case.ts";
import type { PathModifier, RequestRedirect, Resource } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";

function begun(resources: readonly Resource[], path: string, authority = "shop.example:8080"): Call {
  const call = world({ resources }).createCall();
  call.begin(http("GET", path, [], authority), context(), false, 0);
  for (let kind = call.next(); kind !== Effect.forward && kind !== Effect.respond; kind = call.next());
  return call;
}

function rewritten(prefix: string, modifier: PathModifier, path: string): string {
  const [made] = route(prefix).to("products").resources();
  const rules = (made as unknown as { spec: { rules: object[] } }).spec.rules;
  const filters = [{ type: "URLRewrite", urlRewrite: { path: modifier } }];
  const resource = { ...made, spec: { rules: [{ ...rules[0], filters }] } } as unknown as Resource;
  return begun([resource], path).rewritePath;
}

test("ReplacePrefixMatch does what the Gateway API's table says", () => {
  const table = [
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo/", "/foo", "/", "/"],
    ["/foo", "/foo", "/", "/"],
    ["/foo/bar?q=/foo", "/foo", "/xyz", "/xyz/bar?q=/foo"],
    ["/bar", "/", "/xyz", "/xyz/bar"],
    ["/x/../foo/bar", "/foo", "/xyz", "/xyz/bar"],
  ];
  for (const [path, prefix, replacePrefixMatch, expected] of table)
    assert.equal(
      rewritten(prefix, { type: "ReplacePrefixMatch", replacePrefixMatch }, path),
      expected,
      `${path} ${prefix}`,
    );
});

test("ReplaceFullPath replaces the path and leaves the query", () => {
  assert.equal(rewritten("/foo", { type: "ReplaceFullPath", replaceFullPath: "/one" }, "/foo/bar/baz?q=1"), "/one?q=1");
  assert.equal(rewritten("/", { type: "ReplaceFullPath", replaceFullPath: "/" }, "/foo"), "/");
});

test("redirects: scheme, host, port and path as the Gateway API has them", () => {
  const location = (redirect: RequestRedirect, path = "/old/a?b=1", authority?: string): [number, string] => {
    const { response } = begun(route("/old").redirect(redirect).resources(), path, authority);
    return [response?.status ?? 0, response?.fields[1] ?? ""];
  };
  assert.deepEqual(location({}), [302, "http://shop.example:8080/old/a?b=1"]);
  assert.deepEqual(location({ scheme: "https", statusCode: 301 }), [301, "https://shop.example/old/a?b=1"]);
  assert.deepEqual(location({ scheme: "https", port: 8443 })[1], "https://shop.example:8443/old/a?b=1");
  assert.deepEqual(location({ hostname: "new.example", port: 80 })[1], "http://new.example/old/a?b=1");
  assert.deepEqual(location({ hostname: "new.example" }, "/old", "shop.example")[1], "http://new.example/old");
  assert.deepEqual(
    location({ path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/new" } }, "/old", "[::1]:81")[1],
    "http://[::1]:81/new",
  );
  assert.deepEqual(location({ path: { type: "ReplaceFullPath", replaceFullPath: "/x" }, statusCode: 308 }), [
    308,
    "http://shop.example:8080/x?b=1",
  ]);
});

test("a backend of weight 0 gets nothing; when all are 0 the call fails", () => {
  const runtime = world({
    resources: route("/").to({ products: 1, payments: 0 }).resources(),
    endpoints: [endpoint("products-1"), endpoint("payments-1")],
  });
  for (let i = 0; i < 50; i++) {
    const call = runtime.createCall();
    call.begin(http("GET", "/"), context(), false, 0);
    while (call.next() !== Effect.forward);
    assert.equal(call.endpoint?.id, "products-1");
  }
  const { response } = begun(route("/").to({ products: 0 }).resources(), "/");
  assert.equal(response?.error?.reason, "NO_BACKEND");
});

test("what cannot be meant is refused: with the reason", () => {
  const [made] = route("/a").to("products").resources();
  const wrong = (rule: object): string => {
    const rules = (made as unknown as { spec: { rules: object[] } }).spec.rules;
    try {
      parseResources([{ ...made, spec: { rules: [{ ...rules[0], ...rule }] } }]);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  const replace = {
    type: "URLRewrite",
    urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/x" } },
  };
  assert.match(
    wrong({ matches: [{ path: { type: "Exact", value: "/a" } }], filters: [replace] }),
    /needs PathPrefix matches/,
  );
  assert.match(
    wrong({ matches: [{ path: { type: "RegularExpression", value: "/a" } }], filters: [replace] }),
    /needs PathPrefix/,
  );
  assert.match(
    wrong({ filters: [{ type: "ExtensionRef", extensionRef: {} }] }),
    /ExtensionRef is not supported here; extensions of other gateways/,
  );
  assert.match(
    wrong({ backendRefs: [{ name: "b", filters: [{ type: "CORS", cors: {} }] }] }),
    /CORS is not supported here; put it on the rule/,
  );
  assert.match(
    wrong({ timeouts: { request: "1s", backendRequest: "2s" } }),
    /backendRequest: is longer than "request", 1s/,
  );
  assert.match(
    wrong({
      filters: [
        { type: "RequestMirror", requestMirror: { backendRef: { name: "m" }, percent: 1, fraction: { numerator: 1 } } },
      ],
    }),
    /percent and fraction/,
  );
  assert.match(wrong({ filters: [{ type: "CORS", cors: { allowOrigins: ["shop.example"] } }] }), /must be an origin/);
  assert.match(
    wrong({ sessionPersistence: { cookieConfig: { lifetimeType: "Permanent" } } }),
    /"absoluteTimeout" is missing/,
  );
  assert.match(wrong({ backendRefs: [{ name: "b", namespace: "other" }] }), /is another than the route's own/);
  assert.match(
    wrong({ matches: [{ headers: [{ type: "RegularExpression", name: "x", value: "[" }] }] }),
    /headers\[0\]\.value: "\[" is no regular expression/,
  );
});
