import assert from "node:assert/strict";
import { test } from "node:test";
import { parseResources } from "../resource/validate.ts";

const routeWith = (filter: object) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "r" },
  spec: { rules: [{ backendRefs: [{ name: "orders" }], filters: [filter] }] },
});

test("host is not changed as a field, and what to take instead is said", () => {
  for (const [type, field] of [
    ["RequestHeaderModifier", "requestHeaderModifier"],
    ["ResponseHeaderModifier", "responseHeaderModifier"],
  ]) {
    for (const changes of [
      { set: [{ name: "Host", value: "b" }] },
      { add: [{ name: "host", value: "b" }] },
      { remove: ["HOST"] },
    ])
      assert.throws(() => parseResources([routeWith({ type, [field]: changes })]), /take the filter URLRewrite/);
  }
  parseResources([routeWith({ type: "URLRewrite", urlRewrite: { hostname: "b.example" } })]);
  parseResources([
    routeWith({ type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "x-host", value: "b" }] } }),
  ]);
});
