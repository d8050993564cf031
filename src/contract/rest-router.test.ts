import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeftError } from "../core/errors.ts";
import { httpBindings } from "./http-rule.ts";
import { createRestRouter } from "./rest-router.ts";
import { get, type MethodSpec, serviceWith } from "./rule-method.case.ts";

function routerOf(rules: Record<string, MethodSpec["rule"]>) {
  const service = serviceWith(Object.entries(rules).map(([name, rule]) => ({ name, rule })));
  return createRestRouter(
    service.methods.flatMap((method) => httpBindings(method).map((binding) => ({ binding, target: method.name }))),
  );
}

function answer(router: ReturnType<typeof routerOf>, method: string, path: string): unknown {
  const match = router.match(method, path);
  if (match.kind === "found") return [match.route.target, ...match.variables];
  return match.kind === "not-found" ? 404 : match.allow;
}

const post = (value: string): MethodSpec["rule"] => ({ pattern: { case: "post", value }, body: "*" });

test("finds bindings by path and method", () => {
  const router = routerOf({
    List: get("/v1/books"),
    Create: post("/v1/books"),
    Get: get("/v1/books/{f_string}"),
    Special: get("/v1/books/special"),
    Nested: get("/v1/{f_string=shelves/*/books/*}"),
    File: get("/v1/files/{f_string=**}"),
    Publish: post("/v1/books/{f_string}:publish"),
    Any: { pattern: { case: "custom", value: { kind: "*", path: "/v1/any" } } },
    Root: get("/"),
  });
  assert.deepEqual(answer(router, "GET", "/"), ["Root"]);
  assert.deepEqual(answer(router, "GET", "/v1/books"), ["List"]);
  assert.deepEqual(answer(router, "POST", "/v1/books"), ["Create"]);
  assert.deepEqual(answer(router, "GET", "/v1/books/17"), ["Get", "17"]);
  assert.deepEqual(answer(router, "GET", "/v1/books/special"), ["Special"]);
  assert.deepEqual(answer(router, "GET", "/v1/shelves/1/books/2"), ["Nested", "shelves/1/books/2"]);
  assert.deepEqual(answer(router, "GET", "/v1/files/a/b/c"), ["File", "a/b/c"]);
  assert.deepEqual(answer(router, "GET", "/v1/files"), ["File", ""]);
  assert.deepEqual(answer(router, "POST", "/v1/books/17:publish"), ["Publish", "17"]);
  assert.deepEqual(answer(router, "PURGE", "/v1/any"), ["Any"]);
  assert.deepEqual(answer(router, "HEAD", "/v1/books"), ["List"]);
});

test("tells 404 from 405", () => {
  const router = routerOf({
    List: get("/v1/books"),
    Create: post("/v1/books"),
    Publish: post("/v1/books/{f_string}:publish"),
  });
  assert.equal(answer(router, "GET", "/v1/nothing"), 404);
  assert.equal(answer(router, "GET", "/v1/books/"), 404);
  assert.equal(answer(router, "GET", "/v1//books"), 404);
  assert.equal(answer(router, "GET", "books"), 404);
  assert.equal(answer(router, "GET", "*"), 404);
  assert.equal(answer(router, "POST", "/v1/books/:publish"), 404);
  assert.equal(answer(router, "DELETE", "/v1/books"), "GET, HEAD, POST");
  assert.equal(answer(router, "GET", "/v1/books/1:publish"), "POST");
});

test("a colon is a letter where no template has such a verb", () => {
  const router = routerOf({ Get: get("/v1/{f_string}"), Do: post("/v1/{f_string}:do") });
  assert.deepEqual(answer(router, "GET", "/v1/a:b"), ["Get", "a:b"]);
  assert.deepEqual(answer(router, "GET", "/v1/a:do"), ["Get", "a:do"]);
  assert.deepEqual(answer(router, "POST", "/v1/a:b:do"), ["Do", "a:b"]);
});

test("goes back when a literal leads nowhere", () => {
  const router = routerOf({ A: get("/a/b/c"), B: get("/a/{f_string}/d"), C: get("/{f_string=**}") });
  assert.deepEqual(answer(router, "GET", "/a/b/c"), ["A"]);
  assert.deepEqual(answer(router, "GET", "/a/b/d"), ["B", "b"]);
  assert.deepEqual(answer(router, "GET", "/a/b/e"), ["C", "a/b/e"]);
});

test("decodes values: all of a single segment, all but %2F of several", () => {
  const router = routerOf({
    One: get("/one/{f_string}"),
    Many: get("/many/{f_string=**}"),
    Literal: get("/a b".replace(" ", "%20")),
  });
  assert.deepEqual(answer(router, "GET", "/one/a%2Fb%20c"), ["One", "a/b c"]);
  assert.deepEqual(answer(router, "GET", "/many/a%2Fb/c%20d%2fe"), ["Many", "a%2Fb/c d%2fe"]);
  assert.deepEqual(answer(router, "GET", "/a%20b"), ["Literal"]);
  assert.deepEqual(answer(router, "GET", "/one/%E2%82%AC"), ["One", "€"]);
  for (const path of ["/one/%", "/one/%zz", "/one/%ff", "/many/x/%c3"]) {
    assert.throws(
      () => router.match("GET", path),
      (error: unknown) => error instanceof WeftError && error.reason === "BAD_PATH",
      path,
    );
  }
});

test("refuses two bindings for the same requests, naming both", () => {
  assert.throws(
    () => routerOf({ First: get("/v1/{f_string}/x"), Second: get("/v1/{f_bool=*}/x") }),
    /rules\.v1\.Rules\/First \(GET \/v1\/\{f_string\}\/x\) and rules\.v1\.Rules\/Second \(GET \/v1\/\{f_bool=\*\}\/x\) match the same requests/,
  );
  assert.doesNotThrow(() =>
    routerOf({ First: get("/v1/{f_string}"), Second: post("/v1/{f_string}"), Third: get("/v1/{f_string}:verb") }),
  );
});

test("a value comes back as it was, whatever its characters", () => {
  const router = routerOf({ One: get("/one/{f_string}"), Many: get("/many/{f_string=**}") });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (value) => {
      fc.pre(value.isWellFormed());
      assert.deepEqual(answer(router, "GET", `/one/${encodeURIComponent(value)}`), ["One", value]);
      const path = value.split("/").map(encodeURIComponent).join("/");
      assert.deepEqual(answer(router, "GET", `/many/${path}`), ["Many", value]);
    }),
  );
});

test("never fails with anything but BAD_PATH", () => {
  const router = routerOf({ One: get("/one/{f_string}"), Many: get("/many/{f_string=**}:do") });
  fc.assert(
    fc.property(fc.constantFrom("/", "/one/", "/many/"), fc.string({ unit: "binary" }), (prefix, rest) => {
      try {
        router.match("GET", prefix + rest);
      } catch (error) {
        assert.ok(error instanceof WeftError && error.reason === "BAD_PATH");
      }
    }),
  );
});
