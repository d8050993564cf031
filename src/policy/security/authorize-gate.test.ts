import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { explainDecision } from "../decision/explain.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import { rateLimit } from "../resource/rate-limit-builder.ts";
import { route } from "../resource/route-builder.ts";
import { authentication } from "./authentication-builder.ts";
import { authorization } from "./authorization-builder.ts";
import type { AuthorizationRule } from "./authorization-resource.ts";

const ORDERS = "spiffe://shop/orders";

function outcome(call: TestCall): string {
  return call.reason === "" ? "allowed" : call.reason;
}

test("without any Authorization every call passes, and costs no gate", () => {
  const call = new TestCall(world()).begin(grpc("/p.Products/Get"));
  assert.equal(outcome(call), "allowed");
  assert.ok(!call.call.decision.steps.some(({ rule }) => rule === "authorize"));
});

test("what no allow rule matches is denied, and says which rule came nearest", () => {
  const resources = authorization("products")
    .allow({ name: "orders", peers: [ORDERS] })
    .allow({ name: "admins", peers: ["spiffe://shop/admin"], methods: ["p.Products/Buy"] })
    .resources();
  const runtime = world({ resources });
  assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"), { peerIdentity: ORDERS })), "allowed");
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"), { peerIdentity: "spiffe://shop/cart" });
  assert.equal(call.reason, "FORBIDDEN");
  assert.deepEqual(call.call.decision.outcome, { status: 403, grpcStatus: 7, reason: "FORBIDDEN" });
  assert.equal(call.call.decision.nearest, "allowed if principal = spiffe://shop/orders");
  assert.match(
    explainDecision(call.call.decision),
    /authorize +.*rule orders {2}\(refused\) {3}peer spiffe:\/\/shop\/cart/,
  );
});

test("deny wins over allow, wherever each is attached", () => {
  const resources = [
    ...authorization("products").allow({}).resources(),
    ...authorization("*")
      .deny({ name: "blocked", networks: ["10.1.0.0/16"] })
      .resources(),
  ];
  const runtime = world({ resources });
  assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"), { peerAddress: "10.2.0.1:5" })), "allowed");
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"), { peerAddress: "10.1.2.3:5" });
  assert.equal(outcome(call), "FORBIDDEN");
  assert.match(call.call.decision.nearest, /unless network = 10\.1\.0\.0\/16/);
});

test("a route that splits between services asks the rules of each", () => {
  const resources = [
    ...route("/").to({ products: 100, orders: 0 }).resources(),
    ...authorization("products")
      .allow({ peers: ["spiffe://shop/a"] })
      .resources(),
    ...authorization("orders")
      .allow({ peers: ["spiffe://shop/b"] })
      .resources(),
    ...authorization("*")
      .allow({ peers: ["spiffe://shop/admin"] })
      .resources(),
  ];
  const runtime = world({ resources });
  const as = (name: string): string =>
    outcome(new TestCall(runtime).begin(http("GET", "/"), { peerIdentity: `spiffe://shop/${name}` }));
  assert.deepEqual(["a", "b", "admin"].map(as), ["FORBIDDEN", "FORBIDDEN", "allowed"]);
});

test("a refusal tells the values that its rule saw", () => {
  const resources = [
    ...route("/").to("products").resources(),
    ...authorization("products")
      .deny({ networks: ["10.0.0.0/8"], paths: ["/a/*"], hosts: ["shop"], methods: ["GET"] })
      .resources(),
  ];
  const call = new TestCall(world({ resources })).begin(http("GET", "/a/%62?secret=1"), { peerAddress: "10.1.2.3:5" });
  const step = call.call.decision.steps.find(({ rule }) => rule === "authorize");
  const rule = "Authorization products, rule 1";
  assert.deepEqual(step?.values, { method: "GET", host: "shop", path: "/a/b", address: "10.1.2.3", rule });
});

test("a default of deny denies without any allow rule", () => {
  const runtime = world({ resources: authorization("*").denyByDefault().resources() });
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get"));
  assert.equal(outcome(call), "FORBIDDEN");
  assert.match(call.call.decision.nearest, /an allow rule in Authorization system/);
});

test("audit leaves a note and lets pass", () => {
  const runtime = world({
    resources: authorization("products")
      .audit({ methods: ["POST"] })
      .resources(),
  });
  const call = new TestCall(runtime).begin(grpc("/p.Products/Get")).head(1, 200, ["grpc-status", "0"]);
  assert.equal(outcome(call), "allowed");
  assert.deepEqual(
    call.call.decision.steps.filter(({ rule }) => rule === "authorize").map(({ verdict }) => verdict),
    ["audit", "ok"],
  );
});

test("the typed client and the outbound sidecar do not enforce it; the server does", () => {
  const runtime = world({ resources: authorization("products").denyByDefault().resources() });
  for (const place of ["client", "sidecar"] as const) {
    assert.equal(
      outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"), { place, service: "products" })),
      "allowed",
    );
  }
  assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"), { place: "server" })), "FORBIDDEN");
});

test("rules about end users are judged at the server only where end users are known there", () => {
  const rules = authorization("products").allow({ authenticatedBy: ["api-key:shop"] });
  const keys = authentication("shop")
    .apiKey({ consumers: [{ name: "a", sha256: "0".repeat(64) }] })
    .on("products");
  const gatewayOnly = world({ resources: [...rules.resources(), ...keys.resources()] });
  assert.equal(outcome(new TestCall(gatewayOnly).begin(grpc("/p.Products/Get"), { place: "server" })), "allowed");
  assert.equal(outcome(new TestCall(gatewayOnly).begin(grpc("/p.Products/Get"))), "AUTHENTICATION_REQUIRED");
  const both = world({ resources: [...rules.resources(), ...keys.at("gateway", "server").resources()] });
  assert.equal(
    outcome(new TestCall(both).begin(grpc("/p.Products/Get"), { place: "server" })),
    "AUTHENTICATION_REQUIRED",
  );
  const serverOnly = world({ resources: [...rules.resources(), ...keys.at("server").resources()] });
  assert.equal(outcome(new TestCall(serverOnly).begin(grpc("/p.Products/Get"))), "allowed");
  assert.equal(
    outcome(new TestCall(serverOnly).begin(grpc("/p.Products/Get"), { place: "server" })),
    "AUTHENTICATION_REQUIRED",
  );
  const claims = authorization("products").allow({ claims: [{ claim: "role", equals: "a" }] });
  assert.equal(
    outcome(new TestCall(world({ resources: claims.resources() })).begin(grpc("/p.Products/Get"))),
    "FORBIDDEN",
  );
  const explicit = world({ resources: [...rules.at("server").resources(), ...keys.resources()] });
  assert.equal(outcome(new TestCall(explicit).begin(grpc("/p.Products/Get"), { place: "server" })), "FORBIDDEN");
});

test("a path that servers may read in two ways is denied by either and allowed by both", () => {
  const routes = route("/").to("products").resources();
  const denied = world({
    resources: [
      ...routes,
      ...authorization("products")
        .deny({ paths: ["/admin", "/admin/*"] })
        .resources(),
    ],
  });
  for (const path of [
    "/admin",
    "/admin/x",
    "//admin",
    "/a/../admin",
    "/%61dmin",
    "/x/%2e%2e/admin",
    "/admin%2Fx",
    "/admin;a=1",
    "/x%2f..%2fadmin",
    "/%2561dmin",
    "/admin\\x",
    "/admin/?a=b",
    "/admin?x",
  ]) {
    assert.equal(outcome(new TestCall(denied).begin(http("GET", path))), "FORBIDDEN", path);
  }
  assert.equal(outcome(new TestCall(denied).begin(http("GET", "/administrator"))), "allowed");
  const allowed = world({
    resources: [
      ...routes,
      ...authorization("products")
        .allow({ paths: ["/public/*"] })
        .resources(),
    ],
  });
  assert.equal(outcome(new TestCall(allowed).begin(http("GET", "/public/a"))), "allowed");
  for (const path of [
    "/public/..%2fadmin",
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public\\..\\..\\admin",
    "/publicity",
  ]) {
    assert.equal(outcome(new TestCall(allowed).begin(http("GET", path))), "FORBIDDEN", path);
  }
});

test("conditions in CEL: what cannot be evaluated neither allows nor lets a deny rule be passed by", () => {
  const routes = route("/").to("products").resources();
  const when = 'request.headers["x-tier"] == "gold" && request.path.startsWith("/v1/")';
  const allow = world({ resources: [...routes, ...authorization("products").allow({ when }).resources()] });
  assert.equal(outcome(new TestCall(allow).begin(http("GET", "/v1/x", ["x-tier", "gold"]))), "allowed");
  assert.equal(outcome(new TestCall(allow).begin(http("GET", "/v1/x", ["x-tier", "tin"]))), "FORBIDDEN");
  const without = new TestCall(allow).begin(http("GET", "/v1/x"));
  assert.equal(outcome(without), "FORBIDDEN");
  assert.equal(without.call.decision.nearest, `allowed if ${when}`);
  const deny = world({ resources: [...routes, ...authorization("products").deny({ when }).resources()] });
  assert.equal(outcome(new TestCall(deny).begin(http("GET", "/v1/x"))), "FORBIDDEN");
  assert.equal(outcome(new TestCall(deny).begin(http("GET", "/v1/x", ["x-tier", "tin"]))), "allowed");
});

test("a condition in CEL is checked when it is written, with its place", () => {
  const broken = (when: string): string => {
    try {
      world({ resources: authorization("products").allow({ when }).resources() });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(
    broken("request.path =="),
    /Authorization products spec\.rules\[0\]\.when: is no CEL expression at line 1, column 14/,
  );
  assert.match(broken("request.pth == 'x'"), /request has no pth; did you mean "?path/);
  assert.match(broken("requst.path == 'x'"), /knows no requst; did you mean "?request/);
  assert.match(broken("request.path.startWith('x')"), /knows no function startWith; did you mean "?startsWith/);
  assert.match(broken("[1].exists(a, [2].exists(b, a == b))"), /loop within a loop/);
  assert.match(broken("request.path.matches(request.host)"), /must be written out/);
  assert.match(broken(Array(200).fill("1 == 1").join("&&")), /longer than|too large/);
  assert.equal(
    broken("principal.claims.groups.exists(g, g in ['a', 'b']) && now < timestamp('2030-01-01T00:00:00Z')"),
    "",
  );
});

test("rules on a gRPC method hold however it is called", () => {
  const runtime = world({
    resources: authorization("products")
      .deny({ methods: ["p.Products/Buy"] })
      .resources(),
  });
  for (const type of ["application/grpc", "application/grpc-web+proto", "application/proto", "application/json"]) {
    const request = { ...grpc("/p.Products/Buy"), fields: ["content-type", type] };
    assert.equal(outcome(new TestCall(runtime).begin(request)), "FORBIDDEN", type);
  }
  assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"))), "allowed");
});

test("a deny rule on networks or hosts is not passed by writing them otherwise", () => {
  const routes = route("/").to("products").resources();
  const runtime = world({
    resources: [
      ...routes,
      ...authorization("products")
        .deny({ networks: ["10.0.0.0/8", "fe80::/10"] })
        .resources(),
      ...authorization("*")
        .deny({ hosts: ["admin.shop"] })
        .resources(),
    ],
  });
  for (const peerAddress of ["10.1.1.1:1", "[::ffff:10.1.1.1]:1", "[fe80::1%eth0]:1", "unknown"]) {
    assert.equal(outcome(new TestCall(runtime).begin(http("GET", "/"), { peerAddress })), "FORBIDDEN", peerAddress);
  }
  const peerAddress = "192.0.2.1:1";
  assert.equal(outcome(new TestCall(runtime).begin(http("GET", "/"), { peerAddress })), "allowed");
  for (const host of ["admin.shop", "ADMIN.shop:8080", "admin.shop.", "admin.shop.:80"]) {
    assert.equal(outcome(new TestCall(runtime).begin(http("GET", "/", [], host), { peerAddress })), "FORBIDDEN", host);
  }
});

test("header values are not in explanations", () => {
  const resources = authorization("products")
    .allow({ headers: [{ name: "x-secret", equals: "hunter2" }] })
    .resources();
  const call = new TestCall(world({ resources })).begin(grpc("/p.Products/Get"));
  const text = JSON.stringify(call.call.decision) + explainDecision(call.call.decision);
  assert.ok(!text.includes("hunter2"));
  assert.match(text, /header x-secret/);
});

test("it comes before rate limits, which denied calls do not use up", () => {
  const resources = [
    ...authorization("products")
      .allow({ peers: [ORDERS] })
      .resources(),
    ...rateLimit("products").allow(1, "1h").resources(),
  ];
  const runtime = world({ resources });
  for (let i = 0; i < 5; i++) assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"))), "FORBIDDEN");
  assert.equal(outcome(new TestCall(runtime).begin(grpc("/p.Products/Get"), { peerIdentity: ORDERS })), "allowed");
});

// --- against a naive reference ----------------------------------------------------------------------------------

const PEERS = ["", "spiffe://shop/a", "spiffe://shop/b", "spiffe://other/a"];
const PATHS = ["/p.Products/Get", "/p.Products/Buy", "/v1/x", "/v1/y/z", "/v2"];

const ruleArbitrary: fc.Arbitrary<AuthorizationRule> = fc.record(
  {
    action: fc.constantFrom("allow" as const, "deny" as const),
    peers: fc.uniqueArray(fc.constantFrom("spiffe://shop/a", "spiffe://shop/*", "*", "spiffe://*/a"), {
      minLength: 1,
      maxLength: 2,
    }),
    methods: fc.uniqueArray(fc.constantFrom("GET", "POST", "p.Products/Get", "p.Products/*"), {
      minLength: 1,
      maxLength: 2,
    }),
    paths: fc.uniqueArray(fc.constantFrom("/v1/*", "/v2", "*", "/p.Products/Get"), { minLength: 1, maxLength: 2 }),
    networks: fc.uniqueArray(fc.constantFrom("10.0.0.0/8", "10.1.1.1", "::/0", "192.168.0.0/16"), {
      minLength: 1,
      maxLength: 2,
    }),
    headers: fc.constant([{ name: "x-a", exists: true }]),
  },
  { requiredKeys: ["action"] },
);

test("decides as a naive reading of the rules does, also when there are many", () => {
  const routes = route("/").to("products").resources();
  fc.assert(
    fc.property(
      fc.array(ruleArbitrary, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      fc.constantFrom(...PEERS),
      fc.constantFrom(...PATHS),
      fc.constantFrom("10.1.1.1:80", "192.168.3.4:80", "[::1]:80", "11.0.0.1:1"),
      fc.boolean(),
      (rules, closed, peerIdentity, path, peerAddress, header) => {
        const resources = [
          ...routes,
          {
            apiVersion: "weftmesh.dev/v1" as const,
            kind: "Authorization" as const,
            metadata: { name: "rules" },
            spec: { rules, ...(closed ? { default: "deny" as const } : {}) },
          },
        ];
        const request = path.startsWith("/p.") ? grpc(path) : http("GET", path);
        const fields = header ? [...request.fields, "x-a", "1"] : request.fields;
        const call = new TestCall(world({ resources })).begin({ ...request, fields }, { peerIdentity, peerAddress });
        const method = path.startsWith("/p.") ? "POST" : "GET";
        const expected = naive(rules, closed, { peerIdentity, path, peerAddress, method, header });
        assert.equal(outcome(call), expected ? "allowed" : "FORBIDDEN");
      },
    ),
    { numRuns: 300 },
  );
});

interface Facts {
  peerIdentity: string;
  path: string;
  peerAddress: string;
  method: string;
  header: boolean;
}

function naive(rules: readonly AuthorizationRule[], closed: boolean, facts: Facts): boolean {
  const matching = rules.filter((rule) => naiveMatch(rule, facts));
  if (matching.some(({ action }) => action === "deny")) return false;
  if (closed || rules.some(({ action }) => action === "allow"))
    return matching.some(({ action }) => action === "allow");
  return true;
}

function naiveMatch(rule: AuthorizationRule, { peerIdentity, path, peerAddress, method, header }: Facts): boolean {
  const glob = (pattern: string): RegExp =>
    new RegExp(
      `^${pattern
        .split("*")
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*")}$`,
      "s",
    );
  const network = (text: string): boolean =>
    text === "::/0"
      ? peerAddress.startsWith("[")
      : text === "10.1.1.1"
        ? peerAddress.startsWith("10.1.1.1:")
        : peerAddress.startsWith(text === "10.0.0.0/8" ? "10." : "192.168.");
  return (
    (rule.peers?.some((peer) => peerIdentity !== "" && glob(peer).test(peerIdentity)) ?? true) &&
    (rule.methods?.some(
      (name) => name === method || (name.includes("/") && method === "POST" && glob(`/${name}`).test(path)),
    ) ??
      true) &&
    (rule.paths?.some((text) => glob(text).test(path)) ?? true) &&
    (rule.networks?.some(network) ?? true) &&
    (rule.headers === undefined || header)
  );
}
