import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../core/random.ts";
import { type Call, Effect } from "../call.ts";
import { endpoint, grpc, http, METHODS, TestCall } from "../machine/call.case.ts";
import { CallRecorder } from "../replay/call-recorder.ts";
import type { RecordedLine } from "../replay/recorded.ts";
import { anyResourceOf, KINDS } from "../resource/any-resource.case.ts";
import type { Resource } from "../resource/resources.ts";
import { inspectResources } from "../resource/validate.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { copyDecision } from "./decision.ts";
import { explainDecision } from "./explain.ts";
import { DecisionJournal } from "./journal.ts";

/* Under every policy that the shapes allow: what a caller shows to prove who it is stands in no decision, explanation, journal, recording, error or metric. */

const SECRET = "hunter2-Zm9vYmFy";
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const TOKEN = `${part({ alg: "RS256", kid: "a" })}.${part({ iss: "https://id.test", sub: "u", exp: 4e9 })}.${SECRET}`;
const BASIC = Buffer.from(`user:${SECRET}`).toString("base64");
const SIGNED = ["signature-input", 'a=("@method");created=1700000000;keyid="a"', "signature", `a=:${BASIC}:`];

/** Each where policies look for such things. */
const SHOWN: readonly (readonly string[])[] = [
  ["authorization", `Bearer ${TOKEN}`],
  ["authorization", `Basic ${BASIC}`],
  ["authorization", `Bearer ${SECRET}`, "authorization", `Bearer ${TOKEN}`],
  ["x-api-key", SECRET, "x-key", SECRET],
  ["cookie", `weft_session=${SECRET}; a=${SECRET}; session=${SECRET}`],
  ["proxy-authorization", `Basic ${BASIC}`, ...SIGNED],
];
const planted = [SECRET, TOKEN, BASIC, encodeURIComponent(BASIC)];

const resources = fc
  .array(fc.constantFrom(...KINDS).chain(anyResourceOf), { minLength: 1, maxLength: 5 })
  .map((made) => {
    const kept: Resource[] = [];
    for (const one of made) {
      if (one === null) continue;
      const named = { ...one, metadata: { name: `${one.kind.toLowerCase()}-${kept.length}` } } as Resource;
      if (inspectResources([...kept, named]).errors.length === 0) kept.push(named);
    }
    return kept;
  });

const asked = fc.record({
  fields: fc.constantFrom(...SHOWN),
  path: fc.constantFrom("/", "/web", "/login", "/oauth2/callback", "/p.Products/Get"),
  query: fc.constantFrom(
    "",
    `?token=${SECRET}`,
    `?api_key=${SECRET}&access_token=${TOKEN}`,
    `?code=${SECRET}&state=${SECRET}`,
  ),
  grpc: fc.boolean(),
  place: fc.constantFrom("gateway" as const, "server" as const, "client" as const),
  status: fc.constantFrom(200, 401, 503),
  answer: fc.boolean(),
});

test("no credential stands in what is remembered, told or recorded of a call", () => {
  fc.assert(
    fc.property(resources, fc.array(asked, { minLength: 1, maxLength: 6 }), fc.integer(), (policies, calls, seed) => {
      const journal = new DecisionJournal();
      const runtime = createPolicyRuntime({ random: seededRandom(seed), record: "all", journal, wallAt: 1.7e12 });
      runtime.applyResources(1, policies, METHODS);
      runtime.applyEndpoints({ endpointVersion: 1, full: true, changed: [endpoint("products-1")], removed: [] });
      const lines: RecordedLine[] = [];
      runtime.record?.(
        new CallRecorder({
          ...{ write: (line: RecordedLine) => lines.push(line), now: () => 0, wallAt: 1.7e12, random: seededRandom(1) },
          ...{ salt: "salt", process: "p", sample: 1, keepHeaders: [] },
        }),
      );
      const told: unknown[] = [];
      for (const [i, what] of calls.entries()) {
        if (i === calls.length - 1) runtime.record?.(null); // the last one as it is without
        const fields = what.grpc ? ["content-type", "application/grpc", ...what.fields] : what.fields;
        const path = what.path + what.query;
        const request = what.grpc ? { ...grpc(path), fields } : http("GET", path, ["accept", "text/html", ...fields]);
        const call = new TestCall(runtime, 1_000).begin(request, {
          place: what.place,
          service: "products",
          requestId: `id-${i}`,
        });
        for (let questions = 0; questions < 4 && !call.call.ended && call.call.query !== null; questions++) {
          call.call.answered(call.call.queryId, what.answer ? ANSWERS[call.call.query.kind] : null, call.now);
          call.drain();
        }
        if (call.count(Effect.forward) > 0) call.head(1, what.status, [], true);
        else if (call.count(Effect.accept) > 0) call.head(0, what.status, [], true);
        if (!call.call.ended) call.call.downstreamGone(call.now);
        call.drain();
        const { decision, response } = call.call;
        // Of answers not the fields: a login sends its browser to where it says.
        told.push(
          copyDecision(decision),
          explainDecision(decision),
          response?.error?.message,
          String(response?.body ?? ""),
        );
        runtime.release(call.call as Call);
      }
      told.push(journal.newest(100), lines, [...(runtime.stats?.() ?? [])], runtime.limitCounts());
      const { authentications, authorizations } = runtime.securityTallies?.() ?? {};
      told.push([...(authentications ?? [])], [...(authorizations ?? [])]);
      const text = JSON.stringify(told);
      for (const secret of planted) {
        const at = text.indexOf(secret);
        assert.ok(at < 0, `...${text.slice(Math.max(0, at - 300), at + 40)}`);
      }
    }),
    { numRuns: 100 },
  );
});

const ANSWERS: Readonly<Record<string, unknown>> = {
  "shared-limit": { allowed: true, waitMs: 0, left: 1 },
  token: { verified: true, problem: "" },
  secret: { consumer: { name: "partner" } },
  session: { claims: { sub: "u" }, freshUntil: 9e12, location: "", setCookies: [], problem: "" },
  "external-authorization": { allowed: true, status: 200, fields: [], removeFields: [], body: null, message: "" },
};
