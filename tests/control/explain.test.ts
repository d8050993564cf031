import assert from "node:assert/strict";
import { test } from "node:test";
import { AttachRequestSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import { create } from "../../src/contract/runtime.ts";
import { DecisionJournal } from "../../src/policy/decision/journal.ts";
import { http, TestCall } from "../../src/policy/machine/call.case.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import { registrationOf, World } from "./world.ts";

const TO_ALPHA = { service: "alpha", place: "client" } as const;

test("the control plane asks every process what it remembers of a call, and says who kept silent", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory();
  const policies = ["gateway", "orders"].map(() => createPolicyRuntime({ journal: new DecisionJournal() }));
  const links = policies.map((policy, i) => world.link({ policy, process: ["gateway", "orders-1"][i] }).link);
  await links[1].register(registrationOf("alpha", 1));
  for (const link of links) await link.subscribe("alpha");
  for (const policy of policies) {
    const call = new TestCall(policy, performance.now()).begin(http("GET", "/a?b=c"), {
      ...TO_ALPHA,
      requestId: "r-1",
    });
    policy.release(call.head(1, 200).call);
  }
  // One that says hello and then nothing.
  const abort = new AbortController();
  const mute = world.control().attach(
    (async function* () {
      yield create(AttachRequestSchema, { message: { case: "hello", value: { process: "mute" } } });
      await new Promise((resolve) => abort.signal.addEventListener("abort", resolve));
    })(),
    { signal: abort.signal },
  );
  const reading = (async () => {
    for await (const _ of mute);
  })().catch(() => {});
  const admin = world.admin();
  while ((await admin.getStatus({})).processes < 3) await new Promise((resolve) => setTimeout(resolve, 5));

  const started = performance.now();
  const { processes, silent, asked } = await admin.explainCall({ requestId: "r-1", timeoutMs: 500 });
  assert.ok(performance.now() - started < 5_000);
  assert.equal(asked, 3);
  assert.deepEqual(silent, ["mute"]);
  const names = processes.map(({ process }) => process.split("/")[0]).sort();
  assert.deepEqual(names, ["gateway", "orders-1"]);
  const orders = processes.find(({ process }) => process.startsWith("orders-1"));
  assert.deepEqual(orders?.endpoints, ["alpha-1"]);
  const [record] = orders?.decisions ?? [];
  assert.equal(record.request, "GET /a");
  assert.ok(Math.abs(record.startedMs - Date.now()) < 5_000);
  assert.equal(JSON.parse(record.decision).attempts[0].endpoint, "alpha-1");

  const nothing = await admin.explainCall({ requestId: "r-2", timeoutMs: 50 });
  assert.deepEqual(nothing.processes, []);
  await assert.rejects(admin.explainCall({}), /a request id has/);
  const rest = await fetch(`http://${plane.address}/v1/decisions?requestId=r-1&timeoutMs=50`);
  assert.equal(rest.status, 200);
  abort.abort();
  await reading;
});
