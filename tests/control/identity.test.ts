import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { resolveHealthCheck } from "../../src/call/health/health-check.ts";
import { createProber, type Prober } from "../../src/call/health/probe.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { type ControlPlaneOptions, startControlPlane } from "../../src/control/control-plane.ts";
import { toWeftError, type WeftError } from "../../src/core/errors.ts";
import { spiffeId } from "../../src/core/identity.ts";
import { signProof } from "../../src/core/identity-proof.ts";
import { encodeJoinToken } from "../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openSqliteKeyValue } from "../../src/drivers/sqlite/sqlite-key-value.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { createLink } from "../../src/link/link.ts";
import { echoHandler, endpointAt, until } from "../../src/net/harness.case.ts";
import { TestAuthority } from "../../src/net/identity.case.ts";
import { listen } from "../../src/net/listener.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";

const OPERATOR = "operator-secret";
const metadata = { authorization: `Bearer ${OPERATOR}` };

async function plane(options: Partial<ControlPlaneOptions> = {}) {
  const events: string[] = [];
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    ...options,
    identity: { operatorToken: OPERATOR, onEvent: (message) => events.push(message), ...options.identity },
  });
  const direct = createDirectClient(Identity, control.address);
  const stop = async () => {
    await direct.close();
    await control.stop();
  };
  return { control, client: direct.client, events, stop };
}

function key() {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  return { spki, privateKey, request: { publicKey: spki, proof: signProof("issue", spki, privateKey) } };
}

const reason = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (thrown: unknown) => toWeftError(thrown).reason,
  );

test("a join token gives one process one identity, which renews itself by its key", async () => {
  const { client, stop, events } = await plane();
  const { token } = await client.createJoinToken({ service: "orders" }, { metadata });
  const first = key();
  const issued = await client.issue({ ...first.request, holder: { case: "joinToken", value: token } });
  assert.equal(issued.id, "spiffe://shop/orders");
  const leaf = new X509Certificate(issued.certificate);
  assert.ok(leaf.checkPrivateKey(first.privateKey));
  assert.ok(leaf.verify(new X509Certificate(issued.trust).publicKey));
  assert.equal(Number(issued.notAfterMs), leaf.validToDate.getTime());
  assert.ok(Math.abs(Number(issued.notAfterMs) - Date.now() - 3_600_000) < 5_000, "an hour");
  // The same key again: its answer was lost.
  await client.issue({ ...first.request, holder: { case: "joinToken", value: token } });
  assert.equal(
    await reason(client.issue({ ...key().request, holder: { case: "joinToken", value: token } })),
    "JOIN_TOKEN_USED",
  );
  const second = key();
  const certificate = leaf.toString();
  const proof = signProof("renew", second.spki, first.privateKey);
  const renewed = await client.issue({ ...second.request, holder: { case: "renewal", value: { certificate, proof } } });
  assert.equal(renewed.id, issued.id);
  const stolen = { certificate, proof: signProof("renew", second.spki, second.privateKey) };
  assert.equal(
    await reason(client.issue({ ...second.request, holder: { case: "renewal", value: stolen } })),
    "BAD_PROOF",
  );
  assert.equal(events.filter((event) => event.includes("refused")).length, 2);
  for (const event of events) assert.ok(!event.includes(token.split(".")[2]) && !event.includes(OPERATOR), event);
  await stop();
});

test("what is no proof gets nothing, each with its reason", async () => {
  const { client, stop } = await plane();
  const { token } = await client.createJoinToken({ service: "orders", ttlSeconds: 60 }, { metadata });
  const { request } = key();
  const expiresMs = Date.now() + 60_000;
  const claims = { system: "shop", service: "orders", id: "x", expiresMs, uses: 1 };
  const [prefix, body, mac] = token.split(".");
  const other = Buffer.from(Buffer.from(body, "base64url").toString().replace("orders", "paymen")).toString(
    "base64url",
  );
  const tokens: Record<string, string> = {
    BAD_JOIN_TOKEN: "nonsense",
    "BAD_JOIN_TOKEN foreign": encodeJoinToken({ ...claims, system: "bank" }, OPERATOR),
    "BAD_JOIN_TOKEN other secret": encodeJoinToken(claims, "guessed"),
    "BAD_JOIN_TOKEN changed": `${prefix}.${other}.${mac}`,
    "BAD_JOIN_TOKEN cut": `${prefix}.${body}.${mac.slice(0, 10)}`,
    "BAD_JOIN_TOKEN control": encodeJoinToken({ ...claims, service: "control" }, OPERATOR),
    JOIN_TOKEN_EXPIRED: encodeJoinToken({ ...claims, expiresMs: Date.now() - 1 }, OPERATOR),
  };
  for (const [expected, value] of Object.entries(tokens))
    assert.equal(
      await reason(client.issue({ ...request, holder: { case: "joinToken", value } })),
      expected.split(" ")[0],
      expected,
    );
  assert.equal(await reason(client.issue(request)), "NO_PROOF");
  const holder = { case: "joinToken", value: token } as const;
  assert.equal(await reason(client.issue({ ...request, proof: key().request.proof, holder })), "BAD_PROOF");
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ type: "spki", format: "der" });
  assert.equal(await reason(client.issue({ ...request, publicKey: p384, holder })), "BAD_PUBLIC_KEY");
  const selfMade = {
    certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    proof: new Uint8Array(),
  };
  assert.equal(
    await reason(client.issue({ ...request, holder: { case: "renewal", value: selfMade } })),
    "BAD_CERTIFICATE",
  );
  assert.equal(await reason(client.createJoinToken({ service: "orders" })), "NOT_OPERATOR");
  assert.equal(
    await reason(client.createJoinToken({ service: "orders" }, { metadata: { authorization: "Bearer x" } })),
    "NOT_OPERATOR",
  );
  assert.equal(await reason(client.rotateAuthority({})), "NOT_OPERATOR");
  assert.equal(await reason(client.createJoinToken({ service: "control" }, { metadata })), "RESERVED_SERVICE");
  assert.equal(
    await reason(client.createJoinToken({ service: "orders", uses: 10_001 }, { metadata })),
    "BAD_TOKEN_REQUEST",
  );
  await stop();
});

test("roots and uses of tokens outlive a restart; the files are for their user alone; a system of another name has its own", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "weft-authority-"));
  const store = () => openSqliteKeyValue({ file: join(dataDir, "store.db") });
  const first = await plane({ dataDir, store: await store() });
  const { token } = await first.client.createJoinToken({ service: "orders" }, { metadata });
  const holder = { case: "joinToken", value: token } as const;
  const { trust } = await first.client.issue({ ...key().request, holder });
  await first.stop();
  for (const name of readdirSync(dataDir).filter((each) => each.startsWith("authority")))
    assert.equal(statSync(join(dataDir, name)).mode & 0o777, 0o600, name);
  const second = await plane({ dataDir, store: await store() });
  assert.equal(await reason(second.client.issue({ ...key().request, holder })), "JOIN_TOKEN_USED");
  assert.equal((await second.client.getAuthority({})).trust, trust);
  await second.stop();
  const renamed = await plane({ dataDir, system: "bank" });
  assert.notEqual((await renamed.client.getAuthority({})).trust, trust);
  await renamed.stop();
  const again = await plane({ dataDir });
  assert.equal((await again.client.getAuthority({})).trust, trust, "its own is found again");
  await again.stop();
  for (const name of readdirSync(dataDir).filter((each) => each.startsWith("authority")))
    assert.equal(statSync(join(dataDir, name)).mode & 0o777, 0o600, name);
  const whole = readFileSync(join(dataDir, "authority.json"), "utf8");
  writeFileSync(join(dataDir, "authority.json"), whole.slice(0, 100));
  await assert.rejects(plane({ dataDir }), (error: WeftError) => {
    assert.equal(error.reason, "AUTHORITY_UNUSABLE");
    assert.match(error.message, /Bring it back, or move it away/);
    assert.doesNotMatch(error.message, /PRIVATE|BEGIN/);
    return true;
  });
  writeFileSync(join(dataDir, "authority.json"), whole);
  const kept = await plane({ dataDir, identity: { operatorToken: "" } });
  const secret = readFileSync(join(dataDir, "operator-token"), "utf8").trim();
  const { token: made } = await kept.client.createJoinToken(
    { service: "orders" },
    { metadata: { authorization: `Bearer ${secret}` } },
  );
  assert.ok(made.startsWith("weft1."));
  await kept.stop();
  rmSync(dataDir, { recursive: true });
});

test("a process on the line hears at once whom to trust, and a refused token is an error that says why", async () => {
  const { control, client, stop } = await plane();
  const heard: string[] = [];
  const link = createLink({
    address: control.address,
    policy: createPolicyRuntime(),
    onTrust: (pem) => heard.push(pem),
  });
  await until(() => heard.length === 1, "trust with the welcome");
  const { trust } = await client.rotateAuthority({}, { metadata });
  await until(() => heard.length === 2, "trust with the rotation");
  assert.equal(heard[1], trust);
  assert.ok(trust.startsWith(heard[0]));
  await link.close();
  await assert.rejects(openIdentity({ address: control.address, token: "nonsense" }), (error: WeftError) => {
    assert.equal(error.reason, "BAD_JOIN_TOKEN");
    assert.match(error.message, /no identity was given: this is no join token of weft's/);
    return true;
  });
  const { token } = await client.createJoinToken({ service: "web" }, { metadata });
  const line = await openIdentity({ address: control.address, token });
  assert.equal(line.system, "shop");
  assert.equal(line.service, "web");
  let told = 0;
  line.onChange(() => told++);
  line.trust(trust);
  line.trust(`${trust}${trust}`);
  assert.equal(told, 1, "what is trusted already is no news");
  await line.close();
  await stop();
});

test("health checks of a strict service prove who asks, and find out when another answers", async () => {
  const authority = new TestAuthority("shop");
  const identity = authority.identity("control");
  const handler = echoHandler;
  const listener = await listen({ handler, mesh: { identity: authority.identity("orders"), mode: () => "strict" } });
  const at = { ...endpointAt(listener.port, "http1"), service: "orders", identity: spiffeId("shop", "orders") };
  const check = resolveHealthCheck(at, { defaults: { kind: "http", path: "/", timeoutMs: 2_000 } });
  const outcome = async (prober: Prober): Promise<string> => (await prober.probe()).outcome;
  assert.equal(await outcome(createProber(at, check, identity)), "passed");
  assert.equal(await outcome(createProber(at, check)), "failed", "in plain text");
  const other = { ...at, identity: spiffeId("shop", "payments") };
  const { outcome: found, message } = await createProber(other, check, identity).probe();
  assert.equal(found, "failed");
  assert.match(message, /it is not spiffe:\/\/shop\/payments, but URI:spiffe:\/\/shop\/orders/);
  await listener.close();
});
