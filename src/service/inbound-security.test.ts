import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { WeftError } from "../core/errors.ts";
import { authentication, authorization } from "../policy/builders.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { service } from "./definition.ts";
import { createRuntime } from "./runtime.ts";
import { serve } from "./serve.ts";

async function started(resources: readonly Resource[]) {
  const runtime = createRuntime({ env: {} });
  runtime.policy.applyResources(1, resources, []);
  const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }) });
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
