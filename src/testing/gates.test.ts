import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { authentication, authorization, rateLimit, route, traffic } from "../policy/builders.ts";
import { assertCovered } from "./assert-covered.ts";
import { simulate } from "./simulate.ts";
import type { SimulatedSystem } from "./types.ts";

const system: SimulatedSystem = {
  services: {
    orders: { latencyMs: 5, calls: ["payments"] },
    payments: { latencyMs: 5 },
    mail: { calls: ["payments"] },
  },
  routes: [route("/orders").to("orders"), route("/mail").to("mail"), route("/payments").to("payments")],
  policies: [
    traffic("*").retry(0),
    authorization("payments")
      .allow({ name: "orders", peers: ["spiffe://shop/orders"] })
      .at("server"),
  ],
};

test("servers enforce who may call them, by the identity of the calling process", async () => {
  const world = simulate(system);
  assert.equal((await world.call("GET /orders")).status, 200);
  assert.equal((await world.call("GET /mail")).status, 503); // since payments refuses mail
  const call = await world.call("GET /payments");
  assert.deepEqual([call.status, call.durationMs], [403, 0]);
  const [refused] = world.decisions({ place: "server" });
  assert.equal(refused.outcome.reason, "FORBIDDEN");
  assertCovered(world, { except: ["TrafficPolicy*"] });
});

test("what the servers' gates count is counted out again, also for callers who go away", async () => {
  const limit = rateLimit("payments").inFlight(1).at("server");
  const world = simulate({ ...system, policies: [traffic("*").retry(0), limit] });
  for (let i = 0; i < 3; i++) {
    const calls = await Promise.all([
      world.call("GET /payments", { cancelAfterMs: 2 }),
      world.call("GET /payments", { cancelAfterMs: 3 }),
    ]);
    assert.deepEqual(calls.map(({ status }) => status).sort(), [429, 499]);
  }
  assert.equal((await world.call("GET /payments")).status, 200);
});

test("queries are answered by the test: at once, later, or not at all", async () => {
  const asking = authorization("payments")
    .ask({ http: { url: "http://checker/check" }, timeout: "100ms" })
    .at("gateway");
  const world = simulate({ ...system, policies: [traffic("*").retry(0), asking] });
  assert.equal((await world.call("GET /payments")).status, 403); // nobody answers: closed
  const asked: string[] = [];
  world.answer("external-authorization", ({ kind }) => {
    asked.push(kind);
    return { afterMs: 20, answer: { allowed: true, status: 0, fields: [], removeFields: [], body: null, message: "" } };
  });
  const call = await world.call("GET /payments");
  assert.deepEqual([asked.length, call.status, call.durationMs], [1, 200, 25]);
  world.answer("external-authorization", () => ({ afterMs: 500, answer: null }));
  assert.equal((await world.call("GET /payments")).durationMs, 100);
  world.answer("external-authorization", () => new Promise(() => {}));
  assert.equal((await world.call("GET /payments")).durationMs, 100);
});

test("tokens are verified as in production, in no time, with the test's keys; virtual time expires them", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" }];
  const fetched: string[] = [];
  const world = simulate(
    {
      ...system,
      policies: [
        authentication("id")
          .jwt({ issuer: "https://id", jwks: { url: "https://id/keys" } })
          .on("payments"),
        authorization("payments").allow({ claims: [{ claim: "role", equals: "buyer" }] }),
      ],
    },
    {
      fetch(url) {
        fetched.push(url);
        return Response.json({ keys });
      },
    },
  );
  const token = (role: string) =>
    new SignJWT({ role })
      .setProtectedHeader({ alg: "ES256", kid: "k1" })
      .setIssuer("https://id")
      .setSubject("user-9")
      .setExpirationTime((world.wallMs + 60_000) / 1_000)
      .sign(privateKey);
  const headers = { authorization: `Bearer ${await token("buyer")}` };
  const call = await world.call("GET /payments", { headers });
  assert.deepEqual([call.status, call.durationMs, fetched.length], [200, 5, 1], call.explain());
  const seller = await world.call("GET /payments", { headers: { authorization: `Bearer ${await token("seller")}` } });
  assert.equal(seller.status, 403);
  assert.equal((await world.call("GET /payments")).status, 401);
  await world.advance(120_000);
  assert.equal((await world.call("GET /payments", { headers })).status, 401);
});

test("a token that is remembered is no longer good once its key has left the issuer's set", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  let keys: object[] = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" }];
  let fetches = 0;
  const id = authentication("id")
    .jwt({ issuer: "https://id", jwks: { url: "https://id/keys" } })
    .on("payments");
  const world = simulate(
    { ...system, policies: [id] },
    {
      fetch() {
        fetches++;
        return Response.json({ keys });
      },
    },
  );
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: "ES256", kid: "k1" })
    .setIssuer("https://id")
    .setExpirationTime(world.wallMs / 1_000 + 86_400)
    .sign(privateKey);
  const status = async () =>
    (await world.call("GET /payments", { headers: { authorization: `Bearer ${token}` } })).status;
  assert.deepEqual([await status(), fetches], [200, 1]);
  await world.advance(650_000);
  assert.deepEqual([await status(), fetches], [200, 2]);
  keys = [];
  await world.advance(600_000);
  assert.deepEqual([await status(), fetches >= 3], [401, true]);
});

test("the gateway's cache answers in virtual time, and fetches anew beside a stale answer", async () => {
  let served = 0;
  const answer = () => ({
    fields: { "cache-control": "max-age=10, stale-while-revalidate=60" },
    body: `answer ${++served}`,
  });
  const world = simulate({
    services: { products: { answer } },
    routes: [route("/products").to("products")],
    policies: [traffic("products").cache()],
  });
  const get = async () => {
    const { body, attempts } = await world.call("GET /products");
    return [body, attempts];
  };
  assert.deepEqual(await get(), ["answer 1", 1]);
  assert.deepEqual(await get(), ["answer 1", 0]);
  await world.advance(20_000);
  assert.deepEqual(await get(), ["answer 1", 0]); // stale, while it is fetched
  await world.advance(100);
  assert.deepEqual(await get(), ["answer 2", 0]);
});

test("a fallback passes the gates of the service that it is for, and those that the stand-by enforces itself", async () => {
  const world = (where: "gateway" | "server") =>
    simulate({
      services: { products: {}, standby: {} },
      policies: [
        traffic("products").retry(0).fallback({ service: "standby" }),
        rateLimit("standby").allow(1, "1h").at(where),
      ],
    });
  for (const [where, last] of [
    ["gateway", 200],
    ["server", 429],
  ] as const) {
    const shop = world(where);
    shop.fault("products", { down: true });
    assert.equal((await shop.call("GET /p", { service: "products" })).status, 200);
    assert.equal((await shop.call("GET /p", { service: "products" })).status, last);
  }
});
