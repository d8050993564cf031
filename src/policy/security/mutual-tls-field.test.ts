import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import type { Resource } from "../resource/resources.ts";
import { parseResources } from "../resource/validate.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";

test("what is set for a service wins over the system; without either it is permissive", () => {
  const policy = createPolicyRuntime();
  assert.equal(policy.mutualTls("orders"), "permissive");
  policy.applyResources(
    1,
    [...traffic("*").mtls("strict").resources(), ...traffic("legacy").mtls("off").resources()],
    [],
  );
  assert.equal(policy.mutualTls("orders"), "strict");
  assert.equal(policy.mutualTls("legacy"), "off");
  policy.applyResources(2, traffic("orders").timeout("1s").resources(), []);
  assert.equal(policy.mutualTls("orders"), "permissive");
});

test("it holds for connections: versions, methods and routes are refused, and so is what is no mode", () => {
  const parse = (spec: object): void => {
    const resource = { apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "p" }, spec };
    parseResources([resource as unknown as Resource]);
  };
  const refs = [
    { kind: "Service", name: "orders@v1" },
    { kind: "Method", name: "a.v1.B/C" },
    { kind: "HTTPRoute", name: "r" },
  ];
  for (const ref of refs)
    assert.throws(() => parse({ targetRefs: [ref], mtls: "strict" }), /mtls holds for whole services/, ref.kind);
  assert.throws(() => parse({ mtls: "on" }), /must be .*strict/);
  parse({ targetRefs: [{ kind: "Service", name: "orders" }], mtls: "strict" });
});
