import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../core/random.ts";
import { Effect } from "../call.ts";
import { endpoint, http, METHODS, TestCall } from "../machine/call.case.ts";
import { CallRecorder } from "../replay/call-recorder.ts";
import { Player } from "../replay/player.ts";
import type { RecordedLine } from "../replay/recorded.ts";
import { replayReport } from "../replay/report.ts";
import type { Resource } from "../resource/resources.ts";
import { route } from "../resource/route-builder.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { authentication } from "./authentication-builder.ts";
import { authorization } from "./authorization-builder.ts";

const ISSUER = "https://id.shop.example";
const token = (claims: object): string =>
  [{ alg: "ES256" }, { iss: ISSUER, exp: 2_000_000_000, ...claims }, "sig"]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");

const BASE = [
  ...route("/").to("products").resources(),
  ...authentication("shop")
    .jwt({ issuer: ISSUER, jwks: { url: `${ISSUER}/keys` } }, { claimHeaders: [{ claim: "role", header: "x-role" }] })
    .on("products")
    .resources(),
];
const EXTERNAL = authorization("products")
  .ask({ http: { url: "http://authz" }, cacheFor: "1m" })
  .resources();
const CALLERS = [
  { sub: "ali", role: "buyer" },
  { sub: "bob", role: "guest" },
  { sub: "cyd", role: "buyer" },
];

/** Calls of three users, of nobody, and with a token that is not good; questions are answered after 3 ms. */
function recording(resources: readonly Resource[], redact = true): { lines: RecordedLine[]; statuses: number[] } {
  const lines: RecordedLine[] = [];
  let now = 0;
  const runtime = createPolicyRuntime({ random: seededRandom(2), wallAt: 1_700_000_000_000 });
  runtime.applyResources(1, resources, METHODS);
  runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint("products-1")], removed: [] });
  const write = (line: RecordedLine): void => void lines.push(JSON.parse(JSON.stringify(line)));
  const recorder = new CallRecorder({
    write,
    now: () => now,
    random: seededRandom(3),
    salt: "s",
    redact,
    wallAt: 1_700_000_000_000,
  });
  runtime.record(recorder);
  const statuses: number[] = [];
  for (let i = 0; i < 50; i++) {
    now = i * 20;
    const caller = CALLERS[i % 5];
    const credential = i % 5 === 4 ? token({ sub: "eve", exp: 1 }) : caller === undefined ? "" : token(caller);
    const fields = credential === "" ? [] : ["authorization", `Bearer ${credential}`];
    const call = new TestCall(runtime, now).begin(http("GET", "/x", fields), { requestId: `r-${i}` });
    while (call.seen.at(-2)?.kind === Effect.query || call.seen.at(-1)?.kind === Effect.query) {
      call.advance(3);
      const external = call.call.query?.kind === "external-authorization";
      const allowed = { allowed: true, status: 200, fields: [], removeFields: [], body: null, message: "" };
      call.seen.length = 0;
      call.call.answered(call.call.queryId, external ? allowed : { verified: true, problem: "" }, call.now);
      call.drain();
    }
    call.advance(2).head(1, 200, [], true);
    statuses.push(call.call.decision.outcome.status);
    runtime.release(call.call);
  }
  return { lines, statuses };
}

for (const [name, resources] of [
  ["authentication", BASE],
  ["external authorization", [...BASE, ...EXTERNAL]],
] as const) {
  test(`calls that passed ${name} are decided again as they were, though no credential is recorded`, () => {
    const { lines, statuses } = recording(resources);
    assert.deepEqual(statuses.slice(0, 5), [200, 200, 200, 401, 401]);
    const text = JSON.stringify(lines);
    for (const caller of CALLERS) {
      for (const part of token(caller).split(".")) assert.ok(!text.includes(part));
      assert.ok(!text.includes(`"${caller.sub}"`));
    }
    const player = new Player();
    let calls = 0;
    for (const line of lines) {
      if (line.t !== "call") {
        player.state(line);
        continue;
      }
      calls++;
      const played = player.play(line);
      assert.deepEqual(JSON.parse(JSON.stringify(played?.decision)), line.decision);
      assert.equal(played?.diverged, false);
    }
    assert.equal(calls, 50);
  });
}

test("a proposed rule about users is tried on the callers as they were", () => {
  const { lines } = recording(BASE);
  const rules = authorization("products").allow({ name: "buyers", claims: [{ claim: "role", equals: "buyer" }] });
  const { identical, proposal } = replayReport(lines, [...BASE, ...rules.resources()]);
  assert.equal(identical, 50);
  const flips = proposal?.flips ?? [];
  assert.equal(
    flips.reduce((sum, { count }) => sum + count, 0),
    10,
  ); // bob's
  assert.deepEqual(replayReport(lines, BASE).proposal?.flips, []);
});

test("credentials are not in recordings that redact nothing else either", () => {
  const text = JSON.stringify(recording(BASE, false).lines);
  for (const caller of CALLERS) assert.ok(!text.includes(token(caller).split(".")[1]));
  assert.ok(text.includes('"ali"')); // the caller is
});
