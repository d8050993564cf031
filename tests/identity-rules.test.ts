import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { startControlPlane } from "../src/control/control-plane.ts";
import { WeftError } from "../src/core/errors.ts";
import { encodeJoinToken } from "../src/core/join-token.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { openIdentity } from "../src/link/identity-line.ts";
import { createLink } from "../src/link/link.ts";
import { authentication, authorization, traffic } from "../src/policy/builders.ts";
import { DecisionJournal } from "../src/policy/decision/journal.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { startGateway } from "../src/proxy/gateway.ts";
import { service } from "../src/service/definition.ts";
import { createRuntime } from "../src/service/runtime.ts";
import { serve } from "../src/service/serve.ts";

const OPERATOR = "operator";

test("one policy by peer identity and by the user's token holds at gateway and service, over mutual TLS, and explain names the peer", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwks = { inline: { keys: [{ ...(await exportJWK(publicKey)), kid: "a" }] } };
  const resources = [
    ...traffic("counter").mtls("strict").resources(),
    ...authentication("shop").jwt({ issuer: "https://id", jwks }).on("counter").at("gateway").resources(),
    ...authorization("counter")
      .allow({ name: "mesh", peers: ["spiffe://shop/gateway", "spiffe://shop/web"] })
      .audit({ name: "web-would-be-denied", peers: ["spiffe://shop/web"] })
      .at("server")
      .resources(),
  ];
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    identity: { operatorToken: OPERATOR },
    resources: { text: JSON.stringify(resources), source: "test", author: "test", reason: "" },
  });
  const { address } = control;
  const token = (name: string): string =>
    encodeJoinToken({ system: "shop", service: name, id: name, expiresMs: Date.now() + 60_000, uses: 1 }, OPERATOR);
  const runtime = (name: string) => createRuntime({ env: {}, control: address, service: name, joinToken: token(name) });

  const own = runtime("counter");
  const peers: string[] = [];
  const definition = service(Counter, {
    count: ({ count }, { peer }) => {
      peers.push(peer.identity);
      return { count: count + 1n };
    },
  });
  const server = await serve(definition, { runtime: own, name: "counter", quiet: true });
  const clients = ["web", "thief"].map((name) => runtime(name));
  const calls = clients.map((each) => each.connect(Counter, { service: "counter" }));
  assert.equal((await calls[0].count({ count: 1n })).count, 2n);
  await assert.rejects(calls[1].count({ count: 1n }), (thrown: unknown) => {
    assert.ok(thrown instanceof WeftError);
    assert.equal(thrown.reason, "FORBIDDEN");
    return true;
  });

  const identity = await openIdentity({ address, token: token("gateway") });
  const policy = createPolicyRuntime({ journal: new DecisionJournal() });
  const link = createLink({ address, policy, role: "gateway", onTrust: (pem) => identity.trust(pem) });
  link.watchContracts(() => {});
  await link.subscribe("*");
  const write = (): void => {};
  const gateway = await startGateway({
    listen: { port: 0 },
    admin: null,
    policy,
    link,
    identity,
    accessLog: "off",
    write,
  });
  const user = await new SignJWT({ sub: "u" })
    .setProtectedHeader({ alg: "ES256", kid: "a" })
    .setIssuer("https://id")
    .setExpirationTime("5m")
    .sign(privateKey);
  const post = async (headers: Record<string, string>): Promise<number> => {
    const request = {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: '{"count":"1"}',
    };
    return (await fetch(`http://127.0.0.1:${gateway.port}/v1/counter:count`, request)).status;
  };
  assert.equal(await post({}), 401);
  assert.equal(await post({ authorization: `Bearer ${user}` }), 200);
  assert.deepEqual(peers, ["spiffe://shop/web", "spiffe://shop/gateway"]);

  const decisions = own.policy.journal?.newest(10) ?? [];
  const text = JSON.stringify(decisions);
  assert.match(text, /web-would-be-denied/);
  assert.match(text, /spiffe:\/\/shop\/thief/);
  await gateway.stop(0);
  await link.close();
  await identity.close();
  for (const each of [...clients, own]) await each.close();
  await server.stop(0);
  await control.stop();
});
