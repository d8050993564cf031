import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { WeftError } from "../core/errors.ts";
import { authentication, authorization, traffic } from "../policy/builders.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";
import type { ServerCall } from "./server-call.ts";
import { createTestClient } from "./test-client.ts";

async function started(resources: readonly Resource[], implementation: Implementation<typeof Counter> = {}) {
  const runtime = createRuntime({ env: {} });
  runtime.policy.applyResources(1, resources, []);
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }), ...implementation });
  const server = await serve(counter, { port: 0, runtime, onError: () => {} });
  const clients = createRuntime({ env: {} });
  const client = clients.connect(Counter, { address: server.address });
  return {
    address: server.address,
    async call(headers: Record<string, string> = {}): Promise<string> {
      return client.count({ count: 1n }, { metadata: headers }).then(
        () => "ok",
        (thrown: unknown) => (thrown instanceof WeftError ? `${thrown.code} ${thrown.reason}` : String(thrown)),
      );
    },
    async [Symbol.asyncDispose]() {
      await clients.close();
      await server.stop(100);
      await runtime.close();
    },
  };
}

test("a server enforces rules on its own calls, whoever sent them", async () => {
  await using it = await started(
    authorization("counter")
      .allow({ peers: ["spiffe://shop/gateway"] })
      .resources(),
  );
  assert.equal(await it.call(), "permission_denied FORBIDDEN");
});

test("a server checks tokens again where policy says so, with the real signature", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwks = { inline: { keys: [{ ...(await exportJWK(publicKey)), kid: "a" }] } };
  const shop = authentication("shop")
    .jwt({ issuer: "https://id", jwks }, { claimHeaders: [{ claim: "role", header: "x-role" }] })
    .on("counter")
    .at("gateway", "server");
  const rules = authorization("counter").allow({ claims: [{ claim: "role", equals: "buyer" }] });
  await using it = await started([...shop.resources(), ...rules.resources()]);
  const token = (role: string) =>
    new SignJWT({ role })
      .setProtectedHeader({ alg: "ES256", kid: "a" })
      .setIssuer("https://id")
      .setExpirationTime("5m")
      .sign(privateKey);
  const bearer = async (role: string) => ({ authorization: `Bearer ${await token(role)}` });
  assert.equal(await it.call(), "unauthenticated AUTHENTICATION_REQUIRED");
  assert.equal(await it.call(await bearer("guest")), "permission_denied FORBIDDEN");
  assert.equal(await it.call(await bearer("buyer")), "ok");
  assert.equal(await it.call({ ...(await bearer("buyer")), "x-role": "buyer" }), "ok");
  assert.equal(await it.call({ ...(await bearer("buyer")), "x-role": "owner" }), "unauthenticated TOKEN_INVALID");
  const [head, claims] = (await token("buyer")).split(".");
  assert.equal(await it.call({ authorization: `Bearer ${head}.${claims}.AAAA` }), "unauthenticated TOKEN_INVALID");
});

test("keys that are checked at the gateway alone do not keep services from calling each other", async () => {
  const sha256 = createHash("sha256").update("key").digest("hex");
  const keys = authentication("shop")
    .apiKey({ consumers: [{ name: "a", sha256 }] })
    .on("counter");
  await using it = await started(keys.resources());
  assert.equal(await it.call(), "ok");
});

test("a message that comes while a token is verified arrives whole", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwks = { inline: { keys: [await exportJWK(publicKey)] } };
  const shop = authentication("shop").jwt({ issuer: "https://id", jwks }).on("counter").at("server");
  await using it = await started(shop.resources());
  const made = new SignJWT({}).setProtectedHeader({ alg: "ES256" }).setIssuer("https://id").setExpirationTime("5m");
  const authorization = `Bearer ${await made.sign(privateKey)}`;
  const body = JSON.stringify({ count: "1" }).replace("}", `,"note":"${"x".repeat(300_000)}"}`);
  const sent = { method: "POST", headers: { "content-type": "application/json", authorization }, body };
  const response = await fetch(`http://${it.address}/v1/counter:count`, sent);
  // It is read whole, and then refused for the field that the contract does not have.
  assert.equal(response.status, 400);
  assert.match(await response.text(), /note/);
});

test("handlers see who calls and how much the call matters, over gRPC and REST, also when the call is over", async () => {
  const sha256 = createHash("sha256").update("key").digest("hex");
  const keys = authentication("shop")
    .apiKey({ consumers: [{ name: "alice", sha256, claims: { tier: "gold" } }] })
    .on("counter")
    .at("server");
  const admission = traffic("counter").admission({
    eventLoop: 0.99,
    priorities: [{ priority: 9, claim: { name: "tier", value: "gold" } }],
  });
  const calls: ServerCall[] = [];
  await using it = await started([...keys.resources(), ...admission.resources()], {
    count: ({ count }, call) => {
      calls.push(call);
      return { count };
    },
    hello: (_, call) => {
      calls.push(call);
      return { contentType: "text/plain", data: Buffer.from("Hello!") };
    },
  });
  assert.equal(await it.call({ "x-api-key": "key" }), "ok");
  assert.equal((await fetch(`http://${it.address}/counter`, { headers: { "x-api-key": "key" } })).status, 200);
  const seen = calls.map(({ principal, priority }) => [
    principal.method,
    principal.subject,
    principal.claims,
    priority,
  ]);
  assert.deepEqual(seen, Array(2).fill(["api-key", "alice", { tier: "gold" }, 9]));
  const claims = calls[0].principal.claims as Record<string, unknown>;
  assert.throws(() => (claims.tier = "platinum"), TypeError); // the next call with this key has the same claims
});

test("a handler whose calls pass no gates sees nobody", async () => {
  let seen: ServerCall | null = null;
  const count = ({ count }: { count: bigint }, call: ServerCall) => {
    seen = call;
    return { count };
  };
  await using it = await started([], { count });
  assert.equal(await it.call(), "ok");
  const { principal, priority } = seen as unknown as ServerCall;
  assert.deepEqual([principal.method, principal.subject, priority], ["", "", 5]);
  const alice = createTestClient(service(Counter, { count }), { principal: { subject: "alice" }, priority: 7 });
  await alice.count({});
  assert.deepEqual(
    [(seen as unknown as ServerCall).principal.subject, (seen as unknown as ServerCall).priority],
    ["alice", 7],
  );
});
