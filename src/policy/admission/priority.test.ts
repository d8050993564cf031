import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import type { CallContext } from "../call.ts";
import { context, http } from "../machine/call.case.ts";
import type { CallState } from "../machine/call-state.ts";
import { NOBODY } from "../machine/principal.ts";
import { type AdmissionSettings, type AdmissionSpec, admissionField } from "./admission-field.ts";
import { PressureSources } from "./pressure.ts";
import { priorityOf } from "./priority.ts";

function priority(
  spec: AdmissionSpec,
  fields: readonly string[],
  parts: Partial<CallContext> = {},
  claims = {},
): number {
  const call = { request: http("GET", "/", fields), caller: context(parts), principal: { ...NOBODY, claims } };
  return priorityOf(call as unknown as CallState, admissionField.compile(spec) as AdmissionSettings);
}

test("the first rule that matches says the priority, then an authenticated peer, then the policy", () => {
  const spec: AdmissionSpec = {
    priority: 4,
    priorities: [
      { priority: 9, header: { name: "X-Tier", value: "gold" } },
      { priority: 8, claim: { name: "org.plan", value: "paid" } },
      { priority: 7, identity: "spiffe://shop/batch", method: "GET" },
      { priority: 1, claim: { name: "roles", value: "robot" } },
      { priority: 2, header: { name: "x-any" } },
    ],
  };
  const peer = { peerIdentity: "spiffe://shop/web" };
  assert.equal(priority(spec, ["x-tier", "gold", "x-weft-priority", "3"], peer), 9);
  assert.equal(priority(spec, ["x-tier", "silver"]), 4);
  assert.equal(priority(spec, [], {}, { org: { plan: "paid" } }), 8);
  assert.equal(priority(spec, [], {}, { org: { plan: "free" }, roles: ["robot", "user"] }), 1);
  assert.equal(priority(spec, [], { peerIdentity: "spiffe://shop/batch" }), 7);
  assert.equal(priority(spec, ["x-any", ""]), 2);
  assert.equal(priority(spec, ["x-weft-priority", "3"], peer), 3);
  for (const said of ["11", "-1", "1.5", "", "high"]) assert.equal(priority(spec, ["x-weft-priority", said], peer), 4);
});

test("the REST request as its caller sent it is what rules look at", () => {
  const spec = { priorities: [{ priority: 9, header: { name: "x-tier" } }] };
  assert.equal(priority(spec, [], { asSent: http("GET", "/v1/orders", ["x-tier", "gold"]) }), 9);
});

test("fields are laid over each other, and false switches admission off", () => {
  const under = traffic("*").admission({ cpu: 0.9, priority: 3 }).resources()[0].spec as { admission: AdmissionSpec };
  const spec = admissionField.over(under.admission, { eventLoop: 0.8 });
  assert.deepEqual(spec, { cpu: 0.9, priority: 3, eventLoop: 0.8 });
  assert.equal(admissionField.compile({ ...spec, enabled: false }), null);
  assert.equal(admissionField.compile(null), null);
});

test("of several pressures the greatest counts, at the services that they are on", () => {
  const sources = new PressureSources();
  assert.deepEqual(sources.of("orders"), { pressure: 0, source: "" });
  sources.set("Objective a", "orders", 0.3);
  sources.set("Objective b", "", 0.1);
  sources.set("Objective c", "orders", 7); // at most all
  assert.deepEqual(sources.of("orders"), { pressure: 1, source: "Objective c" });
  assert.deepEqual(sources.of("carts"), { pressure: 0.1, source: "Objective b" });
  sources.set("Objective c", "orders", Number.NaN);
  assert.deepEqual(sources.of("orders"), { pressure: 0.3, source: "Objective a" });
});
