import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../../../policy/builders.ts";
import type { HedgeSpec } from "../../../policy/resilience/hedge-field.ts";
import { meshDocuments } from "./mesh-documents.case.ts";

/** What a sidecar's Envoy is told of calls of a method. */
function toldOf(method: string, retries: number, hedge: HedgeSpec, on?: string[]): object {
  const resources = traffic("products")
    .timeout("1s", "100ms")
    .retry(retries, { ...(on && { on }) })
    .hedge("1h", hedge)
    .resources();
  const text = meshDocuments(resources, "sidecar").map(([, , document]) => document);
  const found: { hedge_policy?: object; retry_policy?: { per_try_timeout?: string } }[] = [];
  JSON.stringify(text, (_key, value) => {
    if (value?.match?.path === `/p.Products/${method}`) found.push(value.route);
    return value;
  });
  const [{ hedge_policy, retry_policy }] = found;
  return { hedges: hedge_policy !== undefined, perTry: retry_policy?.per_try_timeout };
}

test("an attempt over its time goes on beside another where time-outs are retried, and alone where they are not", () => {
  const on = { onTryTimeout: true };
  assert.deepEqual(toldOf("Get", 2, on), { hedges: true, perTry: "0.1s" });
  assert.deepEqual(toldOf("Get", 2, on, ["503"]), { hedges: false, perTry: undefined });
  assert.deepEqual(toldOf("Get", 0, on), { hedges: false, perTry: undefined });
  assert.deepEqual(toldOf("Get", 2, {}), { hedges: false, perTry: "0.1s" });
  // Envoy would make a second one of it, whatever retry_on says.
  assert.deepEqual(toldOf("Put", 2, on), { hedges: false, perTry: undefined });
});
