/**
 * What security costs a call, decided by the call machine alone: node -C weft-source bench/security.ts
 *
 * A token's signature is paid for by its first call; the calls after it pay for a digest of the token.
 */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { createSecurityQueries } from "../src/call/queries/security-queries.ts";
import { authentication, authorization } from "../src/policy/builders.ts";
import { type CallContext, type CallRequest, Effect } from "../src/policy/call.ts";
import type { Query } from "../src/policy/machine/query.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { MethodInfo } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";

const CALLS = 20_000;
const ROUNDS = 5;
const METHOD: MethodInfo = {
  path: "/p.Products/Get",
  service: "products",
  idempotent: true,
  clientStreaming: false,
  serverStreaming: false,
};
const CONTEXT: CallContext = {
  place: "gateway",
  service: "",
  asSent: null,
  peerAddress: "10.1.1.1:4000",
  peerIdentity: "spiffe://shop/orders",
  secure: false,
  deadline: Number.POSITIVE_INFINITY,
  callerAttempt: 0,
  requestId: "id",
};
const OK = ["grpc-status", "0"];

const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
const issuer = "https://id.shop.example";
const jwks = { inline: { keys: [{ ...(await exportJWK(publicKey)), kid: "a" }] } };
const token = await new SignJWT({ sub: "user-9", role: "buyer" })
  .setProtectedHeader({ alg: "ES256", kid: "a" })
  .setIssuer(issuer)
  .setExpirationTime("1h")
  .sign(privateKey);
const security = createSecurityQueries();
const shop = authentication("shop").jwt({ issuer, jwks }).on("products").resources();
const peers = Array.from({ length: 1_000 }, (_, i) =>
  i === 900 ? "spiffe://shop/orders" : `spiffe://shop/other-${i}`,
);
const many = peers.reduce((rules, peer) => rules.allow({ peers: [peer] }), authorization("products"));

await measure("no security", []);
await measure(
  "an allow rule on the peer",
  authorization("products")
    .allow({ peers: ["spiffe://shop/orders"] })
    .resources(),
);
await measure("1,000 allow rules on peers", many.resources());
await measure(
  "a condition in CEL",
  authorization("products").allow({ when: 'peer.identity.startsWith("spiffe://shop/")' }).resources(),
);
await measure("a token", shop);
await measure("a token and a rule on its claims", [
  ...shop,
  ...authorization("products")
    .allow({ claims: [{ claim: "role", equals: "buyer" }] })
    .resources(),
]);
await security.close();

async function measure(name: string, resources: readonly Resource[]): Promise<void> {
  const runtime = createPolicyRuntime();
  runtime.applyResources(1, resources, [METHOD]);
  const parts = { service: "products", host: "10.0.0.1", version: "", zone: "", weight: 1, protocol: "h2c" } as const;
  const changed = [1, 2, 3].map((n) => ({
    ...parts,
    id: `products-${n}`,
    port: 9_000 + n,
    health: "healthy" as const,
    metadata: {},
  }));
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const fields = ["content-type", "application/grpc", "authorization", `Bearer ${token}`];
  const request: CallRequest = {
    method: "POST",
    scheme: "http",
    authority: "shop",
    path: METHOD.path,
    protocol: "",
    fields,
    memo: null,
  };

  /** Null, or the promise of its end when the outside had to be asked. */
  const call = (): Promise<void> | null => {
    const made = runtime.createCall();
    const now = performance.now();
    made.begin(request, CONTEXT, false, now);
    let asked: Query | null = null;
    for (let effect = made.next(); effect !== Effect.none; effect = made.next())
      if (effect === Effect.query) asked = made.query;
    const finish = (): void => {
      made.head(1, 200, OK, true, now);
      while (made.next() !== Effect.none);
      if (made.decision.outcome.reason !== "") throw new Error(`${name}: ${made.decision.outcome.reason}`);
      runtime.release(made);
    };
    if (asked === null) {
      finish();
      return null;
    }
    const query = asked;
    return new Promise((resolve) => {
      security.handlers.token(query, (answer) => {
        made.answered(made.queryId, answer, performance.now());
        while (made.next() !== Effect.none);
        finish();
        resolve();
      });
    });
  };

  const verified = security.verifications;
  const begun = performance.now();
  await call();
  const firstUs = (performance.now() - begun) * 1_000;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    const from = process.cpuUsage().user; // us; other work on the machine does not count
    for (let i = 0; i < CALLS; i++) if (call() !== null) throw new Error(`${name}: asks more than once`);
    best = Math.min(best, process.cpuUsage().user - from);
  }
  const signatures = security.verifications - verified;
  const first =
    signatures === 0
      ? ""
      : `; the first ${firstUs.toFixed(0)} us, ${signatures} signature verified in ${CALLS * (ROUNDS + 1) + 1} calls`;
  console.log(`${name.padEnd(34)} ${((best / CALLS) * 1_000).toFixed(0).padStart(6)} ns a call${first}`);
}
