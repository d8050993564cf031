import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../builders.ts";
import { endpoint, http, METHODS, TestCall } from "../machine/call.case.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { DecisionJournal } from "./journal.ts";

const TO_PRODUCTS = { service: "products", place: "client" } as const;

function runtimeWith(journal: DecisionJournal, resources = traffic("products").retry(1).resources()) {
  const runtime = createPolicyRuntime({ journal });
  runtime.applyResources(1, resources, METHODS);
  const changed = [endpoint("products-1"), endpoint("products-2")];
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const call = (requestId: string, good = true, path = "/a?key=secret"): void => {
    const calling = new TestCall(runtime).begin(http("GET", path), { ...TO_PRODUCTS, requestId });
    if (good) calling.head(1, 200);
    else {
      calling.fail(1);
      calling.fail(2);
    }
    runtime.release(calling.call);
  };
  return { runtime, call };
}

test("calls are found by their id, with every step, also those that went well", () => {
  const journal = new DecisionJournal();
  const { call } = runtimeWith(journal);
  call("one");
  call("two", false);
  const [good] = journal.find("one");
  assert.equal(good.request, "GET /a");
  assert.equal(good.decision.steps[0].rule, "route");
  assert.equal(good.decision.attempts.length, 1);
  const [bad] = journal.find("two");
  assert.equal(bad.decision.attempts.length, 2);
  assert.notEqual(bad.decision.nearest, "");
  assert.deepEqual(journal.find("three"), []);
  assert.deepEqual(journal.find(""), []);
});

test("a decision that is remembered does not change with what its machine does next", () => {
  const journal = new DecisionJournal({ recent: 8, failed: 8 });
  const { call } = runtimeWith(journal);
  call("kept", false);
  const before = journal.find("kept");
  for (let i = 0; i < 7; i++) call(`later-${i}`, i % 2 === 0);
  assert.deepEqual(journal.find("kept"), before);
});

test("the oldest give way, and calls that went well push out none that failed", () => {
  const journal = new DecisionJournal({ recent: 4, failed: 2 });
  const { call } = runtimeWith(journal);
  call("failed", false);
  for (let i = 0; i < 50; i++) call(`good-${i}`);
  assert.equal(journal.size, 5);
  assert.equal(journal.find("failed").length, 1);
  assert.equal(journal.find("good-49").length, 1);
  assert.equal(journal.find("good-45").length, 0);
  assert.equal(journal.newest(10).length, 5);
  assert.equal(journal.newest(2).length, 2);
  assert.deepEqual(
    journal.newest(10, true).map(({ decision }) => decision.requestId),
    ["failed"],
  );
});

test("new resources let the snapshot go, and the decisions stay as they were", () => {
  const journal = new DecisionJournal({ recent: 3, failed: 3 });
  const { runtime, call } = runtimeWith(journal);
  for (let i = 0; i < 5; i++) call(`before-${i}`, i !== 4);
  const before = [journal.find("before-3"), journal.find("before-4")];
  runtime.applyResources(2, [], METHODS);
  call("after");
  assert.deepEqual([journal.find("before-3"), journal.find("before-4")], before);
  assert.equal(journal.find("before-3")[0].decision.revision, 1);
  assert.equal(journal.find("after")[0].decision.revision, 2);
});

test("long paths are cut, so that what is remembered stays small", () => {
  const journal = new DecisionJournal();
  const { call } = runtimeWith(journal);
  call("long", true, `/${"a".repeat(10_000)}`);
  assert.ok(journal.find("long")[0].request.length < 600);
});

test("what outlier detection knew at the end of a failed call is kept, not what it knows later", () => {
  const journal = new DecisionJournal();
  const resources = traffic("products").retry(1).outlier({ consecutive5xx: 3, maxEjectionPercent: 100 }).resources();
  const { runtime, call } = runtimeWith(journal, resources);
  call("first", false);
  const before = journal.find("first");
  for (let i = 0; i < 5; i++) {
    const later = new TestCall(runtime, 100 + i).begin(http("GET", "/a"), TO_PRODUCTS).head(1, 500).head(2, 500);
    runtime.release(later.call);
  }
  assert.deepEqual(journal.find("first"), before);
});

test("of very many calls that go well a sample is kept, of those that fail all", () => {
  const journal = new DecisionJournal({ recent: 10_000, failed: 10_000 });
  const runtime = createPolicyRuntime({ journal });
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint("products-1")], removed: [] });
  for (let i = 0; i < 4_000; i++) {
    const call = new TestCall(runtime, i / 4).begin(http("GET", "/"), { service: "products", place: "client" });
    runtime.release(call.head(1, i % 100 === 0 ? 404 : 200).call);
  }
  const failed = journal.newest(10_000, true).length;
  assert.equal(failed, 40);
  const well = journal.size - failed;
  assert.ok(well >= 1_250 && well <= 1_260, `${well} in a second: 256 at once and one each millisecond`);
});
