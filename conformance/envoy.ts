import { createSign, generateKeyPairSync } from "node:crypto";
import { attackCases } from "./envoy/attacks.ts";
import { grpcCases } from "./envoy/grpc.ts";
import { call, Mesh, until } from "./envoy/mesh.ts";
import { refusalCases } from "./envoy/refused.ts";
import { rotationCases } from "./envoy/rotation.ts";
import { whoMayCases } from "./envoy/who-may.ts";
import { freePort } from "./free-port.ts";
import type { Case, Suite } from "./suite.ts";

/** What weft's resources become in a stock Envoy: as a gateway, and as the sidecar of an application, with certificates by SDS. */
export const envoy: Suite = {
  name: "envoy",
  tools: ["envoy", "grpc-js-xds", "grpc-interop-client"],
  async run() {
    await using mesh = await Mesh.start();
    const done: Case[] = [];
    const check = async (name: string, what: () => Promise<unknown>): Promise<void> => {
      try {
        await what();
        done.push({ name, ok: true });
      } catch (error) {
        done.push({ name, ok: false, detail: error instanceof Error ? error.message.slice(0, 900) : String(error) });
      }
    };
    await gatewayCases(mesh, check);
    await sidecarCases(mesh, check);
    await grpcCases(mesh, check);
    const refused = mesh.events.filter((event) => event.includes("refuses"));
    done.push({ name: "nothing is refused", ok: refused.length === 0, detail: refused[0] });
    await refusalCases(check);
    await attackCases(check);
    await whoMayCases(check);
    await rotationCases(check);
    return done;
  },
};

type Check = (name: string, what: () => Promise<unknown>) => Promise<void>;

function same(found: unknown, expected: unknown, what = ""): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} expected ${b}, found ${a}`);
}

async function gatewayCases(mesh: Mesh, check: Check): Promise<void> {
  const v1 = await mesh.backend("products", "v1");
  const v2 = await mesh.backend("products", "v2");
  const flaky = await mesh.backend("flaky", "v1", (n) => ({ status: n % 2 === 1 ? 503 : 200 }));
  const slow = await mesh.backend("slow", "v1", () => ({ delayMs: 1_500 }));
  await mesh.backend("orders", "v1");
  const decides = await mesh.backend("decides", "v1", (_, headers) => ({
    status: headers["x-pass"] === "yes" ? 200 : 403,
  }));
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" };
  const tokenOf = (claims: object): string => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg: "RS256", kid: "k1" })}.${part({ iss: "https://id.test", exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
    return `Bearer ${text}.${createSign("RSA-SHA256").update(text).sign(privateKey).toString("base64url")}`;
  };
  await mesh.publish(gatewayResources(JSON.stringify({ keys: [jwk] }), decides.port));
  const port = await freePort();
  await mesh.envoy("gateway", { listen: port });
  const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
    call({ port, path, method, headers: { host: "shop.example", ...headers } });
  await until(async () => (await get("/old")).status === 301, "the gateway's routes");

  await check("gateway: a canary's shares", async () => {
    const before = v2.requests;
    for (let i = 0; i < 300; i++) same((await get("/canary")).status, 200);
    const share = (v2.requests - before) / 300;
    if (share < 0.08 || share > 0.35) throw new Error(`v2 got ${share}, of 0.2`);
    if (v1.requests === 0) throw new Error("v1 got nothing");
  });
  await check("gateway: an idempotent call is retried", async () => {
    const before = flaky.requests;
    same((await get("/flaky")).status, 200);
    same(flaky.requests - before, 2, "attempts");
  });
  await check("gateway: a call that is not idempotent is not", async () => {
    if (flaky.requests % 2 === 1) await get("/flaky");
    const before = flaky.requests;
    same((await get("/flaky", {}, "POST")).status, 503);
    same(flaky.requests - before, 1, "attempts");
  });
  await check("gateway: a redirect", async () => {
    const { status, headers } = await get("/old/x?q=1");
    same([status, headers.location], [301, "http://new.example/now/x?q=1"]);
  });
  await check("gateway: a rewrite of prefix and host", async () => {
    const { json } = await get("/api/list?x=1");
    same([json.url, json.headers.host], ["/v2/list?x=1", "inside.example"]);
  });
  await check("gateway: a prefix that becomes the root", async () => {
    same((await get("/strip/list")).json.url, "/list");
    same((await get("/strip")).json.url, "/");
  });
  await check("gateway: prefixes are whole segments", async () => same((await get("/apix")).status, 404));
  await check("gateway: header changes", async () => {
    const { json, headers } = await get("/canary", { "x-remove": "1", "x-set": "mine" });
    same([json.headers["x-remove"], json.headers["x-set"], json.headers["x-add"]], [undefined, "50%", "a"]);
    same(headers["x-answer"], "yes");
  });
  await check("gateway: no route", async () => {
    const { status, json, headers } = await get("/nowhere");
    same(
      [status, json?.reason, json?.code, headers["content-type"]],
      [404, "NO_ROUTE", "not_found", "application/problem+json"],
    );
  });
  await check("gateway: a time-out", async () => {
    const { status, json } = await get("/slow");
    same([status, json?.reason], [504, "DEADLINE_EXCEEDED"]);
    // It may hear of the call only after its caller has heard of the end.
    await until(async () => slow.requests > 0, "it to be called");
  });
  await check("gateway: no endpoint", async () => {
    const { status, json } = await get("/nobody");
    same([status, json?.reason], [503, "NO_HEALTHY_ENDPOINT"]);
  });
  await check("gateway: no token", async () => {
    const { status, json } = await get("/private");
    same([status, json?.reason], [401, "AUTHENTICATION_REQUIRED"]);
  });
  await check("gateway: a wrong token", async () => {
    const { status, json } = await get("/private", { authorization: "Bearer a.b.c" });
    same([status, json?.reason], [401, "TOKEN_INVALID"]);
  });
  await check("gateway: a token, its claim as a field, and not the caller's own", async () => {
    const { status, json } = await get("/private", {
      authorization: tokenOf({ sub: "u1", role: "buyer" }),
      "x-sub": "root",
    });
    same([status, json?.headers["x-sub"]], [200, "u1"]);
  });
  await check("gateway: a token without the claim that a rule wants", async () => {
    const { status, json } = await get("/private", { authorization: tokenOf({ sub: "u1", role: "guest" }) });
    same([status, json?.reason], [403, "FORBIDDEN"]);
  });
  await check("gateway: a rate limit by a header, each value for itself", async () => {
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push((await get("/limited", { "x-key": "a" })).status);
    same(codes, [200, 200, 429, 429]);
    const { status, json, headers } = await get("/limited", { "x-key": "a" });
    same([status, json?.reason, headers["retry-after"]], [429, "RATE_LIMITED", "30"]);
    same((await get("/limited", { "x-key": "b" })).status, 200);
  });
  await check("gateway: a fault", async () => {
    const { status, json } = await get("/faulty");
    same([status, json?.reason], [418, "FAULT_ABORT"]);
  });
  await check("gateway: external authorization, where its rule matches", async () => {
    const before = decides.requests;
    same((await get("/asked/free")).status, 200);
    same(decides.requests - before, 0, "questions");
    same((await get("/asked/paid", { "x-pass": "yes" })).status, 200);
    same((await get("/asked/paid")).status, 403);
    same(decides.requests - before, 2, "questions");
  });
  await check("gateway: a deny rule wins", async () =>
    same((await get("/asked/never", { "x-pass": "yes" })).status, 403),
  );
  await check("gateway: a preflight", async () => {
    const headers = { origin: "https://a.shop.example", "access-control-request-method": "GET" };
    const found = await get("/cors", headers, "OPTIONS");
    same(found.headers["access-control-allow-origin"], "https://a.shop.example");
  });
  await check("gateway: the revision that is enforced", async () => {
    same((await get("/", { host: "revision.weft.internal", "x-weft-probe": "wrong" })).status, 404);
  });
  await check("gateway: endpoints that come and go", async () => {
    const { id } = (await mesh.registry.query(["orders"])).endpoints[0];
    await mesh.registry.setHealth(id, "draining", "test");
    await until(async () => (await get("/orders")).status === 503, "the endpoint to drain");
    await mesh.registry.setHealth(id, "healthy", "test");
    await until(async () => (await get("/orders")).status === 200, "the endpoint to come back");
  });
}

async function sidecarCases(mesh: Mesh, check: Check): Promise<void> {
  const app = await mesh.application();
  const inbound = await freePort();
  const outbound = await freePort();
  await mesh.envoy("ledger", { listen: inbound, app });
  await mesh.envoy("orders", { outbound });
  const plainOutbound = await freePort();
  await mesh.envoy("guest", { outbound: plainOutbound, token: false });
  const from = (port: number, path: string, host = "ledger.weft") => call({ port, path, headers: { host } });
  // Nobody registers the application: its Envoy is, once it has its listeners.
  await until(async () => (await from(outbound, "/x")).status === 200, "the sidecars");
  await check("sidecar: it is registered while it is there", async () => {
    const { endpoints } = await mesh.registry.query(["ledger"]);
    same(
      endpoints.map(({ id, port, identity }) => [id, port, identity]),
      [["ledger-envoy", inbound, "spiffe://shop/ledger"]],
    );
  });
  await check("sidecar: mutual TLS between two Envoys, and who calls", async () => {
    const { json } = await from(outbound, "/pay");
    same(json?.headers["x-forwarded-client-cert"]?.includes("URI=spiffe://shop/orders"), true, JSON.stringify(json));
  });
  await check("sidecar: plain text where the service takes it", async () => {
    same((await call({ port: inbound, path: "/x" })).status, 200);
  });
  await check("sidecar: a rule by the peer's identity", async () => {
    same((await from(outbound, "/secret")).status, 200);
    const { status, json } = await call({ port: inbound, path: "/secret" });
    same([status, json?.reason], [403, "FORBIDDEN"]);
  });
  await check("sidecar: by the name of the service alone", async () => {
    same((await from(outbound, "/x", "ledger")).status, 200);
  });
  await check("sidecar: a name that is no service's", async () => {
    same((await from(outbound, "/x", "nobody.weft")).json?.reason, "NO_ROUTE");
  });
  await check("sidecar: as an HTTP proxy", async () => {
    same((await call({ port: outbound, path: "http://ledger.weft/x", headers: { host: "ledger.weft" } })).status, 200);
  });
  await check("sidecar: without a token there is no certificate", async () => {
    await until(async () => (await from(plainOutbound, "/x")).status === 200, "plain text");
    same((await from(plainOutbound, "/secret")).status, 403);
  });
  await check("sidecar: who answers must be exactly who was called", async () => {
    await mesh.register({ id: "vault-1", service: "vault", port: inbound, identity: "spiffe://shop/vault" });
    const asked = async () => {
      const { status, json } = await from(outbound, "/x", "vault.weft");
      return [status, json?.reason].join(" ");
    };
    await until(async () => !/NO_ROUTE|NO_HEALTHY_ENDPOINT/.test(await asked()), "the service to be known");
    same(await asked(), "503 UPSTREAM_CONNECT");
  });
  await ownSidecarCases(mesh, check, outbound);
  await check("sidecar: strict takes callers with a certificate alone", async () => {
    await mesh.publish(`${base()}
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: strict }
spec: { targetRefs: [{ kind: Service, name: ledger }], mtls: strict }
`);
    await until(
      async () =>
        (await call({ port: inbound, path: "/x" }).then(
          ({ status }) => status,
          () => 0,
        )) === 0,
      "plain text to be refused",
    );
    same((await from(outbound, "/x")).status, 200);
  });
}

/** Mutual TLS between weft's own sidecar and Envoy's, both ways. */
async function ownSidecarCases(mesh: Mesh, check: Check, envoyOutbound: number): Promise<void> {
  const ownOutbound = await freePort();
  const ownInbound = await freePort();
  await mesh.sidecar("shelf", { outbound: ownOutbound, listen: ownInbound, app: await mesh.application() });
  const from = (port: number, host: string, path: string) => call({ port, path, headers: { host } });
  await check("weft's sidecar calls through Envoy's, which knows who it is", async () => {
    await until(async () => (await from(ownOutbound, "ledger.weft", "/pay")).status === 200, "an answer");
    const { json } = await from(ownOutbound, "ledger.weft", "/pay");
    same(json?.headers["x-forwarded-client-cert"]?.includes("URI=spiffe://shop/shelf"), true, JSON.stringify(json));
    same((await from(ownOutbound, "ledger.weft", "/secret")).status, 403);
  });
  await check("Envoy's sidecar calls through weft's", async () => {
    await until(async () => (await from(envoyOutbound, "shelf.weft", "/x")).status === 200, "an answer");
    const { endpoints } = await mesh.registry.query(["shelf"]);
    same(
      endpoints.map(({ identity }) => identity),
      ["spiffe://shop/shelf"],
    );
  });
}

/** Of the sidecars. */
function base(): string {
  return `apiVersion: weftmesh.dev/v1
kind: Authorization
metadata: { name: ledger }
spec:
  targetRefs: [{ kind: Service, name: ledger }]
  at: [server]
  rules:
    - { action: allow, paths: ["/x", "/pay", "/x/*"] }
    - { action: allow, paths: ["/secret"], peers: ["spiffe://shop/orders"] }`;
}

function gatewayResources(keys: string, decides: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  hostnames: ["shop.example"]
  rules:
    - name: canary
      matches: [{ path: { value: /canary } }]
      backendRefs: [{ name: products@v1, weight: 80 }, { name: products@v2, weight: 20 }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-set, value: "50%" }], add: [{ name: x-add, value: a }], remove: [x-remove] }
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-answer, value: "yes" }] }
    - matches: [{ path: { value: /flaky } }]
      backendRefs: [{ name: flaky }]
    - matches: [{ path: { value: /slow } }]
      backendRefs: [{ name: slow }]
      timeouts: { request: 300ms }
    - matches: [{ path: { value: /nobody } }]
      backendRefs: [{ name: nobody }]
    - matches: [{ path: { value: /old } }]
      filters: [{ type: RequestRedirect, requestRedirect: { scheme: http, hostname: new.example, statusCode: 301, path: { type: ReplacePrefixMatch, replacePrefixMatch: /now } } }]
    - matches: [{ path: { value: /api } }]
      backendRefs: [{ name: products@v1 }]
      filters: [{ type: URLRewrite, urlRewrite: { hostname: inside.example, path: { type: ReplacePrefixMatch, replacePrefixMatch: /v2 } } }]
    - matches: [{ path: { value: /strip } }]
      backendRefs: [{ name: products@v1 }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]
    - name: private
      matches: [{ path: { value: /private } }]
      backendRefs: [{ name: products@v1 }]
    - name: limited
      matches: [{ path: { value: /limited } }]
      backendRefs: [{ name: products@v1 }]
    - name: faulty
      matches: [{ path: { value: /faulty } }]
      backendRefs: [{ name: products@v1 }]
    - name: asked
      matches: [{ path: { value: /asked } }]
      backendRefs: [{ name: products@v1 }]
    - matches: [{ path: { value: /orders } }]
      backendRefs: [{ name: orders }]
    - matches: [{ path: { value: /cors }, method: GET }]
      backendRefs: [{ name: products@v1 }]
      filters: [{ type: CORS, cors: { allowOrigins: ["https://*.shop.example"] } }]
---
apiVersion: weftmesh.dev/v1
kind: Authentication
metadata: { name: users }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shop, sectionName: private }]
  providers:
    - jwt: { issuer: "https://id.test", jwks: { inline: ${keys} } }
      claimHeaders: [{ claim: sub, header: x-sub }]
---
apiVersion: weftmesh.dev/v1
kind: Authorization
metadata: { name: buyers }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shop, sectionName: private }]
  rules: [{ action: allow, claims: [{ claim: role, equals: buyer }] }]
---
apiVersion: weftmesh.dev/v1
kind: Authorization
metadata: { name: asked }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shop, sectionName: asked }]
  rules:
    - { action: deny, paths: ["/asked/never"] }
    - { action: external, paths: ["/asked/paid"], external: { http: { url: "http://127.0.0.1:${decides}" }, timeout: 2s, sendHeaders: [x-pass] } }
---
apiVersion: weftmesh.dev/v1
kind: RateLimit
metadata: { name: keys }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shop, sectionName: limited }]
  requests: 2
  per: 1m
  key: { by: header, header: x-key }
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: faulty }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shop, sectionName: faulty }]
  fault: { abort: { status: 418 } }
---
${base()}
`;
}
