import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { createLink } from "../link/link.ts";
import { DecisionJournal } from "../policy/decision/journal.ts";
import { http, TestCall } from "../policy/machine/call.case.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { EXIT } from "./exit-status.ts";
import { weft } from "./weft.case.ts";

function file(t: TestContext, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-explain-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "policy.yaml");
  writeFileSync(path, text);
  return path;
}

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  rules:
    - matches: [{ path: { type: PathPrefix, value: /v1 } }]
      backendRefs: [{ name: "products@v1", weight: 9 }, { name: "products@v2", weight: 0 }]
`;

test("a made-up call is decided under files, and every candidate says why it was or was not chosen", async (t) => {
  const { status, stdout } = await weft("explain", "--path", "/v1/x", "--from", file(t, ROUTE));
  assert.equal(status, EXIT.ok);
  assert.match(stdout, /^GET \/v1\/x {2}-> {2}200 after 0 ms .* gateway \(made up: nothing was sent\)$/m);
  assert.match(stdout, /^ {2}route +\/v1 -> products@v1 \(9\), products@v2 \(0\) +rule 1 of 1 \(HTTPRoute\/shop\)$/m);
  assert.match(stdout, /^ {2}attempt 1 +products-v1-\d made-up:0 +not sent, 0 ms/m);
  assert.match(stdout, /^products-v2-1 .* of version v2$/m);
});

test("where no route matches under files, it is said that contracts are not in them", async (t) => {
  const { stdout } = await weft("explain", "--path", "/v2", "--from", file(t, ROUTE));
  assert.match(stdout, /404 NO_ROUTE .*\n {2}note {7}files tell nothing of contracts/s);
});

test("the same as JSON", async (t) => {
  const { stdout } = await weft("explain", "--path", "/v2?a=b", "--method", "post", "--from", file(t, ROUTE), "--json");
  const { request, decision } = JSON.parse(stdout);
  assert.deepEqual(request, { method: "POST", path: "/v2?a=b" });
  assert.equal(decision.outcome.reason, "NO_ROUTE");
});

test("a call is shown across the processes that it passed, nested under the attempt that caused it", async (t) => {
  const plane = await startControlPlane({ registry: createMemoryRegistry(), health: { defaults: { kind: "ttl" } } });
  const runtimes = ["gateway", "orders-1"].map((process) => {
    const policy = createPolicyRuntime({ journal: new DecisionJournal() });
    return { policy, link: createLink({ address: plane.address, policy, process }) };
  });
  t.after(async () => {
    for (const { link } of runtimes) await link.close();
    await plane.stop();
  });
  const registration = (service: string) => {
    const endpoint = { id: `${service}-1`, service, host: "127.0.0.1", port: 9_001, version: "", zone: "", weight: 1 };
    return { endpoint: { ...endpoint, protocol: "h2c" as const, metadata: {} }, contracts: [], descriptors: null };
  };
  for (const service of ["orders", "products"]) await runtimes[1].link.register(registration(service));
  for (const { link } of runtimes) await link.subscribe("*");
  const now = performance.now();
  const [outer, inner] = runtimes.map(({ policy }, i) => {
    const service = ["orders", "products"][i];
    return new TestCall(policy, now + 5 * i).begin(http("GET", `/v1/${service}`), {
      place: "client",
      service,
      requestId: "r-9",
    });
  });
  inner.advance(7).head(1, 200);
  outer.advance(20).head(1, 200);
  runtimes[0].policy.release(outer.call);
  runtimes[1].policy.release(inner.call);

  const { status, stdout } = await weft("explain", "r-9", "--control", plane.address, "--timeout", "500");
  assert.equal(status, EXIT.ok, stdout);
  const lines = stdout.trimEnd().split("\n");
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  const outerAttempt = at(/^ {2}attempt 1 +orders-1/);
  assert.ok(outerAttempt > 0, stdout);
  assert.match(lines[0], /^GET \/v1\/orders {2}-> {2}200 after 20 ms .* client gateway$/);
  assert.match(lines[outerAttempt + 1], /^ {6}GET \/v1\/products {2}-> {2}200 after 7 ms .* client orders-1$/);
  assert.ok(at(/^ {8}attempt 1 +products-1/) > outerAttempt + 1);

  const json = JSON.parse((await weft("explain", "r-9", "--control", plane.address, "--json")).stdout);
  assert.equal(json.calls[0].children[0].attempt, 1);
  const unknown = await weft("explain", "r-10", "--control", plane.address);
  assert.equal(unknown.status, EXIT.failed);
  assert.match(unknown.stderr, /nobody remembers r-10/);

  const live = await weft("explain", "--service", "orders", "--path", "/x", "--control", plane.address);
  assert.match(live.stdout, /attempt 1 +orders-1/);
});

test("wrong usage says what is right", async () => {
  for (const args of [
    ["explain"],
    ["explain", "id", "--path", "/"],
    ["explain", "--path", "x"],
    ["explain", "--path", "/", "--admin", "127.0.0.1:1"],
  ]) {
    const { status, stderr } = await weft(...args);
    assert.equal(status, EXIT.usage);
    assert.match(stderr, /--path/);
  }
});
