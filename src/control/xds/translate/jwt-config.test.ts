import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../../../policy/resource/resources.ts";
import { GATEWAY_API, WEFT_API } from "../../../policy/resource/resources.ts";
import { meshDocuments } from "./mesh-documents.case.ts";

const AUTHENTICATION = {
  apiVersion: WEFT_API,
  kind: "Authentication",
  metadata: { name: "users" },
  spec: { providers: [{ name: "shop", jwt: { issuer: "https://issuer.test", jwks: { inline: { keys: [] } } } }] },
} as const satisfies Resource;
const ROUTE = {
  apiVersion: GATEWAY_API,
  kind: "HTTPRoute",
  metadata: { name: "all" },
  spec: { rules: [{ backendRefs: [{ name: "products" }] }] },
} as const satisfies Resource;

test("a request that looks like a CORS preflight needs a token as any other, where no rule answers preflights", () => {
  const text = JSON.stringify(meshDocuments([AUTHENTICATION, ROUTE], "gateway"));
  assert.match(text, /"providers":\{"jwt:shop"/);
  assert.doesNotMatch(text, /bypass_cors_preflight/);
  // What a rule with a CORS filter answers itself is answered before anybody looks for a token.
  const filters = text.slice(text.indexOf('"http_filters"'));
  const [cors, jwt] = ["cors", "jwt_authn"].map((name) => filters.indexOf(`"envoy.filters.http.${name}"`));
  assert.ok(cors >= 0 && cors < jwt);
});
