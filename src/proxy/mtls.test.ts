import assert from "node:assert/strict";
import { request } from "node:https";
import { test } from "node:test";
import {
  CA_CERT,
  PLAIN_CERT,
  PLAIN_KEY,
  SERVER_CERT,
  SERVER_KEY,
  SPIFFE_CERT,
  SPIFFE_KEY,
} from "../net/certificates.case.ts";
import { authentication, authorization } from "../policy/builders.ts";
import { startSecured } from "./secured.case.ts";

const ORDERS = "spiffe://shop/ns/default/sa/orders";
const SPIFFE = { cert: SPIFFE_CERT, key: SPIFFE_KEY };

/** Status and body of a GET that shows this certificate. */
function get(url: string, certificate: { cert: string; key: string } | null, path = "/"): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, url), { ca: CA_CERT, agent: false, ...certificate }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve([response.statusCode ?? 0, body]));
    });
    sent.on("error", reject).end();
  });
}

test("a client certificate says who calls: rules name SPIFFE ids, authentication the trust domain", async (t) => {
  const listen = { tls: { cert: SERVER_CERT, key: SERVER_KEY, ca: CA_CERT } };
  const rules = authorization("shop")
    .allow({ name: "orders", peers: ["spiffe://shop/ns/*/sa/orders"] })
    .deny({ name: "admin", paths: ["/admin/*"] });
  const world = await startSecured(t, rules.resources(), { listen });
  assert.equal((await get(world.url, SPIFFE))[0], 200);
  assert.equal((await get(world.url, SPIFFE, "/admin/x"))[0], 403);
  assert.equal((await get(world.url, { cert: PLAIN_CERT, key: PLAIN_KEY }))[0], 403);
  assert.equal(world.newest().nearest, "allowed if principal = spiffe://shop/ns/*/sa/orders");

  assert.equal(world.metric(/^weft_authorizations_total\{Authorization shop,allowed\}/), 1);
  assert.equal(world.metric(/^weft_authorizations_total\{Authorization shop,denied\}/), 1);
  assert.equal(world.metric(/^weft_authorizations_total\{Authorization shop,unmatched\}/), 1);

  const shop = authentication("mesh")
    .mtls({ trustDomains: ["shop"] }, { claimHeaders: [] })
    .on("shop");
  world.apply(shop.resources());
  assert.equal((await get(world.url, SPIFFE))[0], 200);
  const step = world.newest().steps.find(({ rule }) => rule === "authenticate");
  assert.deepEqual([step?.text, step?.values], ["allowed by mtls:mesh", { subject: ORDERS }]);
  const [status, body] = await get(world.url, { cert: PLAIN_CERT, key: PLAIN_KEY });
  assert.equal(status, 401);
  assert.match(body, /plain is not of the trust domain shop/);
  world.apply(
    authentication("mesh")
      .mtls({ trustDomains: ["bank"] })
      .on("shop")
      .resources(),
  );
  assert.equal((await get(world.url, SPIFFE))[0], 401);
  world.apply(
    authentication("mesh")
      .mtls({ identities: ["spiffe://shop/*/orders"] })
      .on("shop")
      .resources(),
  );
  assert.equal((await get(world.url, SPIFFE))[0], 200);
});
