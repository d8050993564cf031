import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DecisionJournal } from "../policy/decision/journal.ts";
import { endpoint } from "../policy/machine/call.case.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { type GatewayOptions, startGateway } from "../proxy/gateway.ts";
import { segmentsIn } from "../proxy/recording-folder.ts";
import { EXIT } from "./exit-status.ts";
import { weft } from "./weft.case.ts";

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  rules:
    - matches: [{ path: { value: /v1 } }]
      backendRefs: [{ name: products }]
`;
const LIMIT = `---
apiVersion: weftmesh.dev/v1
kind: RateLimit
metadata: { name: per-user }
spec: { requests: 2, per: 1h, key: { by: header, header: x-user } }
`;

/** A gateway before one server that answers everything. */
async function world(t: TestContext, options: Partial<GatewayOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weft-replay-"));
  const server = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const policy = createPolicyRuntime({ journal: new DecisionJournal() });
  const { parseResources } = await import("../policy/resource/validate.ts");
  const { readResourceDocuments } = await import("../policy/resource/read-resource-documents.ts");
  policy.applyResources(1, parseResources(readResourceDocuments(ROUTE, "x.yaml")).resources, []);
  const { port } = server.address() as AddressInfo;
  const one = endpoint("products-1", { host: "127.0.0.1", port, protocol: "http1" });
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed: [one], removed: [] });
  const gateway = await startGateway({ listen: { port: 0 }, admin: {}, policy, accessLog: "off", ...options });
  const stop = async () => {
    await gateway.stop(0);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.after(() => rmSync(folder, { recursive: true }));
  const call = async (path: string, user: string) => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, {
      headers: { "x-user": user, authorization: "Bearer geheim" },
    });
    await answer.arrayBuffer();
    return answer;
  };
  const admin = `127.0.0.1:${gateway.admin?.port}`;
  return { folder, call, admin, stop };
}

test("calls recorded at a gateway's admin address are replayed: as they were, and under a proposed limit", async (t) => {
  const { folder, call, admin, stop } = await world(t);
  const file = join(folder, "calls.weft.gz");
  let begun = (): void => {};
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  const recording = weft("record", file, "--admin", admin, "--for", "3s", begun);
  await hasBegun;
  assert.equal((await fetch(`http://${admin}/record`)).status, 409); // one at a time
  for (let i = 0; i < 8; i++) assert.equal((await call("/v1/x?token=geheim", `user-${i % 2}`)).status, 200);
  assert.equal((await call("/v2", "user-1")).status, 404);
  const recorded = await recording;
  await stop();
  assert.equal(recorded.status, EXIT.ok, recorded.stderr);
  assert.match(recorded.stdout, /^9 calls in /);
  assert.equal(statSync(file).mode & 0o077, 0);

  const same = await weft("replay", file);
  assert.equal(same.status, EXIT.ok, same.stdout);
  assert.match(same.stdout, /^9 calls in [\d.]+ s; 9 decided again as they were\n$/);

  const policy = join(folder, "new.yaml");
  writeFileSync(policy, ROUTE + LIMIT);
  const { status, stdout } = await weft("replay", file, "--policy", policy);
  assert.equal(status, EXIT.changed, stdout);
  assert.match(
    stdout,
    /\nallowed -> denied {2}4 calls, all estimated\n {2}\S+ {2}GET \/v1\/x\?token=~\S+ {2}200 \(products-1\) -> 429 RATE_LIMITED/,
  );
  assert.match(stdout, /REFUSED BY +BEFORE +AFTER +EXAMPLES\nlimit \(RateLimit per-user\) +0 +4 /);
  assert.match(stdout, /products-1 +8 +4 {2}-50 %/);
  const { proposal } = JSON.parse((await weft("replay", file, "--policy", policy, "--json")).stdout);
  assert.deepEqual([proposal.flips[0].kind, proposal.flips[0].count], ["denied", 4]);

  writeFileSync(policy, ROUTE);
  const kept = await weft("replay", file, "--policy", policy);
  assert.equal(kept.status, EXIT.ok);
  assert.doesNotMatch(kept.stdout, /not in the proposed policy/);
  writeFileSync(policy, LIMIT);
  const without = await weft("replay", file, "--policy", policy);
  assert.match(without.stdout, /^not in the proposed policy: HTTPRoute\/\S+$/m);
});

test("a gateway records into a ring of files that stays small, without what callers sent, readable to the last whole line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-ring-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { call, stop } = await world(t, { record: { folder, maxBytes: 8_000 } });
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 40; i++) await call(`/v1/${round}-${i}?q=geheim`, "user-secret");
    await new Promise((resolve) => setTimeout(resolve, 260));
  }
  await stop();
  const segments = segmentsIn(folder);
  assert.ok(segments.length > 1, String(segments.length));
  const bytes = segments.reduce((sum, path) => sum + statSync(path).size, 0);
  assert.ok(bytes < 20_000, `${bytes} bytes`);
  const { gunzipSync } = await import("node:zlib");
  for (const path of segments) assert.doesNotMatch(gunzipSync(readFileSync(path)).toString(), /geheim|user-secret/);
  const { status, stdout } = await weft("replay", folder);
  assert.equal(status, EXIT.ok, stdout);
  // Cut off in the middle, as a crash would.
  const last = segments[segments.length - 1];
  writeFileSync(last, readFileSync(last).subarray(0, -40));
  assert.equal((await weft("replay", last)).status, EXIT.ok);
  assert.equal(readdirSync(folder).length, segments.length);
});

test("the admin address tells of decisions, which weft explain reads of one process alone", async (t) => {
  const { call, admin, stop } = await world(t);
  const id = (await call("/v1/x?token=geheim", "u")).headers.get("x-request-id") ?? "";
  await call("/nothing", "u");
  const { status, stdout } = await weft("explain", id, "--admin", admin);
  assert.equal(status, EXIT.ok);
  assert.match(stdout, /^GET \/v1\/x {2}-> {2}200 after /);
  assert.match(stdout, /attempt 1 +products-1 127\.0\.0\.1:\d+ +ok,/);
  const failed = (await (await fetch(`http://${admin}/decisions?failed=true`)).json()) as {
    decisions: { request: string }[];
  };
  assert.deepEqual(
    failed.decisions.map(({ request }) => request),
    ["GET /nothing"],
  );
  await stop();
});

test("a file that cannot be written is said so, and is no fault of weft's", async (t) => {
  const { folder, admin, stop } = await world(t);
  const { status, stderr } = await weft("record", join(folder, "none", "x"), "--for", "1s", "--admin", admin);
  assert.equal(status, EXIT.failed);
  assert.match(stderr, /^error: .*x cannot be written: no such file or directory \[CANNOT_WRITE\]$/m);
  await stop();
});

test("what is no recording is said so", async (t) => {
  const { folder, stop } = await world(t);
  await stop();
  const file = join(folder, "x");
  writeFileSync(file, "no");
  assert.match((await weft("replay", file)).stderr, /it is no recording/);
  assert.match((await weft("replay", join(folder, "none"))).stderr, /no such file/);
  assert.match((await weft("replay", folder)).stderr, /has no recording/);
});
