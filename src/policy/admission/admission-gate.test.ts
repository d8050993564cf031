import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import type { CallContext } from "../call.ts";
import { explainDecision } from "../decision/explain.ts";
import { grpc, http, TestCall, world } from "../machine/call.case.ts";
import type { PolicyRuntime } from "../runtime.ts";

const GET = "/p.Products/Get";
const INBOUND = { place: "server", service: "products" } as const;

function overloaded(runtime: PolicyRuntime): PolicyRuntime {
  for (let i = 0; i < 30; i++) {
    new TestCall(runtime).begin(grpc(GET), INBOUND);
    runtime.process.load.tell(1, 0, 0);
  }
  return runtime;
}

function inbound(runtime: PolicyRuntime, fields: readonly string[] = [], parts: Partial<CallContext> = {}): TestCall {
  return new TestCall(runtime).begin(http("GET", "/", fields), { ...INBOUND, ...parts });
}

test("sheds nothing while the process is calm, and the least important first when it is not", () => {
  const resources = traffic("products")
    .admission({ priorities: [{ priority: 9, header: { name: "X-Tier", value: "gold" } }] })
    .resources();
  const runtime = world({ resources });
  assert.equal(inbound(runtime).reason, "");
  overloaded(runtime);
  const outcomes = { gold: 0, plain: 0 };
  let refused: TestCall | null = null;
  for (let i = 0; i < 400; i++) {
    if (inbound(runtime, ["x-tier", "gold"]).reason === "") outcomes.gold++;
    const plain = inbound(runtime);
    if (plain.reason === "") outcomes.plain++;
    else refused = plain;
  }
  assert.equal(outcomes.gold, 400);
  assert.ok(outcomes.plain < 60, `${outcomes.plain}`);
  assert.equal(refused?.reason, "SHED");
  const text = explainDecision((refused as TestCall).call.decision);
  assert.match(text, /admission +priority 5, \d+ % is shed for event-loop: below 6\.0 {2}\(refused\)/);
  assert.match(text, /nearest +would have passed with priority 6 or more \(TrafficPolicy products\)/);
  assert.ok((runtime.process.shed.get("event-loop")?.[5] ?? 0) > 300);
});

test("an authenticated peer's word on the priority counts, anybody else's does not", () => {
  const runtime = world({ resources: traffic("products").admission().resources() });
  const told = ["x-weft-priority", "8"];
  const own = (parts: Partial<CallContext>): unknown => {
    const made = inbound(runtime, told, parts).head(0, 200);
    return made.call.decision.steps.find(({ rule }) => rule === "admission")?.values.priority;
  };
  assert.deepEqual([own({ peerIdentity: "spiffe://shop/gateway" }), own({})], [8, 5]);
});

test("takes the greatest of its reasons, for the services that they are about", () => {
  const runtime = world({ resources: traffic("products").admission().resources() });
  const { pressure } = runtime.process;
  const shed = (): number =>
    Array.from({ length: 300 }, () => inbound(runtime).reason).filter((r) => r === "SHED").length;
  pressure.set("Objective carts", "carts", 0.9);
  assert.equal(shed(), 0);
  pressure.set("Objective products", "products", 0.5);
  pressure.set("Objective all", "", 0.2);
  const some = shed();
  assert.ok(some > 100 && some < 200, `${some}`);
  pressure.set("Objective products", "products", 0);
  const fewer = shed();
  assert.ok(fewer > 20 && fewer < 100, `${fewer}`);
  pressure.set("Objective all", "", 0);
  assert.equal(shed(), 0);
});

test("turns away what cannot make its deadline, and still tries one in twenty", () => {
  const runtime = world({ resources: traffic("products").admission().resources() });
  for (let i = 0; i < 40; i++) {
    const call = new TestCall(runtime, i).begin(grpc(GET), INBOUND);
    call.now += 200;
    call.head(0, 200, ["grpc-status", "0"]);
  }
  const withLeft = (ms: number): TestCall =>
    new TestCall(runtime, 300).begin(grpc(GET), { ...INBOUND, deadline: 300 + ms });
  assert.equal(withLeft(400).reason, "");
  const late = Array.from({ length: 40 }, () => withLeft(50));
  assert.equal(late.filter(({ reason }) => reason === "DEADLINE_TOO_NEAR").length, 38);
  assert.match(explainDecision(late[0].call.decision), /50 ms left until the deadline, the median is 1\d\d ms/);
});

test("without the policy nothing is measured, and calls have no gate", () => {
  const runtime = world();
  let measured = 0;
  runtime.process.load.onWanted(() => measured++);
  assert.equal(runtime.hasGates(grpc(GET), { ...INBOUND, asSent: null }), false);
  assert.equal(measured, 0);
});

test("an Objective that asks for calls to be turned away needs no admission policy beside it", () => {
  const objective = {
    apiVersion: "weftmesh.dev/v1",
    kind: "Objective",
    metadata: { name: "products" },
    spec: {
      targetRefs: [{ kind: "Service", name: "products" }],
      availability: { target: 99 },
      shed: [{ when: "fast", pressure: 0.5 }],
    },
  } as const;
  const runtime = world({ resources: [objective] });
  const call = (): TestCall => new TestCall(runtime).begin(grpc(GET));
  assert.equal(call().reason, "");
  runtime.process.pressure.set("Objective products", "products", 0.5);
  const reasons = Array.from({ length: 200 }, () => call().reason);
  const shed = reasons.filter((reason) => reason === "SHED").length;
  assert.ok(shed > 60 && shed < 140, `${shed}`);
});
