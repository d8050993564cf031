import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { ProveSchema } from "../contract/gen/weft/control/v1/control.ts";
import { create } from "../contract/runtime.ts";
import { systemClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { toWeftError } from "../core/errors.ts";
import { type MutualTls, spiffeId } from "../core/identity.ts";
import { isOperatorProof, operatorProof, signProof } from "../core/identity-proof.ts";
import { Authority } from "./authority/authority.ts";
import { assertMayRegister, Registrant } from "./registrant.ts";

const SECRET = "operator-secret";
const tokens = {
  isOperatorProof: (challenge: Uint8Array, proof: Uint8Array) => isOperatorProof(challenge, SECRET, proof),
};

async function authorityOf(system: string) {
  return await Authority.open({ system, folder: "", clock: systemClock });
}

function shown(
  by: { certificate: string; privateKey: string },
  challenge: Uint8Array,
  kind: "attach" | "renew" = "attach",
) {
  const certificate = new X509Certificate(by.certificate).toString();
  return create(ProveSchema, { certificate, signature: signProof(kind, challenge, createPrivateKey(by.privateKey)) });
}

test("a process is who its certificate's key says on this line, and nobody else", async () => {
  const shop = await authorityOf("shop");
  const other = await authorityOf("shop");
  const orders = shop.issueWithKey("orders");
  const payments = shop.issueWithKey("payments");
  const line = new Registrant(shop, tokens);
  const before = new Registrant(shop, tokens);
  const refused: [string, ReturnType<typeof shown>, RegExp][] = [
    ["a proof of another line", shown(payments, before.challenge), /without its key/],
    ["a signature for a renewal", shown(payments, line.challenge, "renew"), /without its key/],
    [
      "another's certificate",
      shown({ ...orders, certificate: payments.certificate }, line.challenge),
      /"payments" without its key/,
    ],
    [
      "another authority of the same name",
      shown(other.issueWithKey("payments"), line.challenge),
      /not signed by this authority/,
    ],
    [
      "the authority's own certificate",
      shown({ ...payments, certificate: shop.trust }, line.challenge),
      /authority|no identity/,
    ],
    ["no certificate", create(ProveSchema, { certificate: "x" }), /cannot be read/],
    [
      "a guessed secret",
      create(ProveSchema, { operator: operatorProof(line.challenge, "guess") }),
      /operator's secret/,
    ],
    [
      "the secret's MAC of another line",
      create(ProveSchema, { operator: operatorProof(before.challenge, SECRET) }),
      /operator/,
    ],
  ];
  for (const [what, proof, reason] of refused) {
    line.prove(proof);
    assert.equal(line.proves("payments"), false, what);
    assert.match(line.refusal, reason, what);
  }
  line.prove(shown(orders, line.challenge));
  assert.equal(line.proves("orders"), true);
  assert.equal(line.proves("payments"), false);
  assert.match(line.refusal, /its process is "orders"/);
  const host = new Registrant(shop, tokens);
  host.prove(create(ProveSchema, { operator: operatorProof(host.challenge, SECRET) }));
  assert.equal(host.proves("anything"), true);
  const flood = new Registrant(shop, tokens);
  assert.throws(
    () => {
      for (let i = 0; i < 100; i++) flood.prove(create(ProveSchema, { certificate: "x" }));
    },
    (error) => toWeftError(error).reason === "NOT_PROVEN",
  );
  await shop.close();
  await other.close();
});

test("endpoints with an identity, of strict services, or in the place of such are registered by their own service alone", () => {
  const endpoint = (id: string, service: string, identity?: string): Endpoint => ({
    id,
    service,
    host: "127.0.0.1",
    port: 1,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c",
    health: "healthy",
    metadata: {},
    ...(identity !== undefined && { identity }),
  });
  const payments = spiffeId("shop", "payments");
  const may = (who: string | null, one: Endpoint, mode: MutualTls = "permissive", before?: Endpoint): string => {
    try {
      const proves = (service: string) => service === who;
      assertMayRegister(one, { system: "shop", mode, before, proves, refusal: "nobody" });
      return "may";
    } catch (thrown) {
      return toWeftError(thrown).reason;
    }
  };
  const plain = endpoint("p-1", "payments");
  const proven = endpoint("p-1", "payments", payments);
  assert.equal(may(null, plain), "may", "plain text is what permissive takes");
  assert.equal(may(null, plain, "off"), "may");
  assert.equal(may(null, plain, "strict"), "NOT_PROVEN");
  assert.equal(may("orders", plain, "strict"), "NOT_PROVEN");
  assert.equal(may("payments", plain, "strict"), "may");
  assert.equal(may(null, proven), "NOT_PROVEN");
  assert.equal(may("orders", proven), "NOT_PROVEN");
  assert.equal(may("payments", proven), "may");
  assert.equal(may("payments", endpoint("p-1", "payments", spiffeId("shop-evil", "payments"))), "FOREIGN_IDENTITY");
  assert.equal(may("payments", endpoint("p-1", "orders", payments)), "FOREIGN_IDENTITY");
  // The id of another's endpoint.
  assert.equal(may(null, plain, "permissive", proven), "NOT_PROVEN");
  assert.equal(may("orders", endpoint("p-1", "orders"), "permissive", proven), "NOT_PROVEN");
  assert.equal(may("payments", proven, "permissive", proven), "may");
  assert.equal(may("payments", proven, "permissive", plain), "may");
});
