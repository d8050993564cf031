import assert from "node:assert/strict";
import { test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { toWeftError } from "../../src/core/errors.ts";
import type { IdentitySource } from "../../src/core/identity.ts";
import { encodeJoinToken } from "../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { identityProof, operatorLineProof } from "../../src/link/line-proof.ts";
import { createLink, type LinkOptions } from "../../src/link/link.ts";
import { endpointAt } from "../../src/net/harness.case.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";

const OPERATOR = "operator-secret-of-these-tests";
const STRICT = JSON.stringify([
  {
    apiVersion: "weftmesh.dev/v1",
    kind: "TrafficPolicy",
    metadata: { name: "payments" },
    spec: { targetRefs: [{ kind: "Service", name: "payments" }], mtls: "strict" },
  },
]);

const identified = (service: string, id = `${service}-1`) => ({
  endpoint: { ...endpointAt(9, "h2c", id), service, identity: `spiffe://shop/${service}` },
  contracts: [],
  descriptors: null,
});
const plain = (service: string, id = `${service}-1`) => ({
  endpoint: { ...endpointAt(9, "h2c", id), service },
  contracts: [],
  descriptors: null,
});

test("nobody takes a service's callers away: endpoints of strict services and of identities need the identity", async () => {
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    identity: { operatorToken: OPERATOR },
    resources: { text: STRICT, source: "test", author: "test", reason: "" },
  });
  const join = (service: string) => {
    const token = { system: "shop", service, id: service, expiresMs: Date.now() + 60_000, uses: 1 };
    return openIdentity({ address: control.address, token: encodeJoinToken(token, OPERATOR) });
  };
  const links: ReturnType<typeof createLink>[] = [];
  const linkBy = (proof?: LinkOptions["proof"]) => {
    const policy = createPolicyRuntime();
    const link = createLink({ address: control.address, policy, ...(proof && { proof }) });
    links.push(link);
    return link;
  };
  const outcome = (work: Promise<unknown>) =>
    work.then(
      () => "registered",
      (thrown: unknown) => toWeftError(thrown).reason,
    );
  const payments = await join("payments");
  const orders = await join("orders");
  const nobody = linkBy();
  const byOrders = linkBy(identityProof(() => orders));
  let known: IdentitySource | null = null;
  const byPayments = linkBy(identityProof(() => known));
  assert.equal(await outcome(nobody.register(plain("payments"))), "NOT_PROVEN");
  assert.equal(await outcome(nobody.register(identified("payments"))), "NOT_PROVEN");
  assert.equal(await outcome(nobody.register(plain("orders"))), "registered", "which takes plain text");
  assert.equal(await outcome(byOrders.register(identified("payments"))), "NOT_PROVEN");
  assert.equal(await outcome(byOrders.register(plain("payments"))), "NOT_PROVEN");
  assert.equal(await outcome(byPayments.register(identified("payments"))), "NOT_PROVEN", "before it has its identity");
  known = payments;
  assert.equal(await outcome(byPayments.register(identified("payments"))), "registered", "and on the same line after");
  assert.equal(await outcome(nobody.register(plain("web", "payments-1"))), "NOT_PROVEN", "the id is taken");
  assert.equal(await outcome(byOrders.register(plain("orders", "payments-1"))), "NOT_PROVEN");
  assert.equal(await outcome(linkBy(operatorLineProof(() => "guess")).register(identified("cart"))), "NOT_PROVEN");
  assert.equal(await outcome(linkBy(operatorLineProof(() => OPERATOR)).register(identified("cart"))), "registered");
  await Promise.all([...links, payments, orders].map((each) => each.close()));
  await control.stop();
});

test("where the operator publishes nobody else does: policies decide what strict is worth", async () => {
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    identity: { operatorToken: OPERATOR },
    publishers: "operator",
    resources: { text: STRICT, source: "test", author: "test", reason: "" },
  });
  const { client, close } = createDirectClient(Admin, control.address);
  const off = { resources: STRICT.replace("strict", "off"), source: "x", author: "x" };
  const reason = (work: Promise<unknown>) =>
    work.then(
      () => "done",
      (thrown: unknown) => toWeftError(thrown).reason,
    );
  assert.equal(await reason(client.publishRevision(off)), "NOT_OPERATOR");
  assert.equal(
    await reason(client.publishRevision(off, { metadata: { authorization: "Bearer guess" } })),
    "NOT_OPERATOR",
  );
  assert.equal(await reason(client.rollbackRevision({ revision: 1n, author: "x" })), "NOT_OPERATOR");
  assert.equal(await reason(client.publishRevision({ ...off, validateOnly: true })), "done", "which changes nothing");
  assert.equal(control.revision, 1);
  const metadata = { authorization: `Bearer ${OPERATOR}` };
  assert.equal(await reason(client.publishRevision(off, { metadata })), "done");
  assert.equal(control.revision, 2);
  await close();
  await control.stop();
});
