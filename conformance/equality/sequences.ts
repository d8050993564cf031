import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { GATEWAY_API, type Resource, WEFT_API } from "../../src/policy/resource/resources.ts";
import type { Case } from "../suite.ts";
import type { Backends } from "./backends.ts";
import { asEnforced } from "./enforced.ts";
import type { Answer, Behaviour, EqualityRequest, Place } from "./model.ts";

/*
 * What calls leave behind for later ones, where it does not hang on time or chance: calls one after the other, of which every place must make the same. Which of two
 * like endpoints comes first is a balancer's own business; how often the one that fails is asked, and whether callers stay where they were, is not.
 */

export interface Sequence {
  readonly name: string;
  readonly scope: "web" | "rpc";
  readonly resources: readonly Resource[];
  readonly calls: readonly SequenceCall[];
  /** What the first endpoint does with all that comes; null: it is well. */
  readonly ailing: Behaviour | null;
}

export interface SequenceCall {
  /** Whose calls must stay together; "" for nobody's. */
  readonly user: string;
  /** Brings the session that the call before was given. */
  readonly inSession: boolean;
}

export function sequencesOf(seed: number, count: number): Sequence[] {
  return fc.sample(fc.oneof(ejections, hashes, sessions), { seed, numRuns: count });
}

export async function sequenceCases(
  backends: Backends,
  reference: Place,
  places: readonly Place[],
  sequences: readonly Sequence[],
): Promise<Case[]> {
  const cases: Case[] = [];
  for (const [i, sequence] of sequences.entries()) {
    const expected = await played(backends, reference, sequence, i, BETWEEN_MS);
    for (const place of places) {
      const enforced = asEnforced(sequence.resources, place.planes);
      const same = JSON.stringify(enforced) === JSON.stringify(sequence.resources);
      if (!same || !place.takes(sequence.scope, requestOf(sequence, { user: "", inSession: false }, null))) continue;
      let seen = await played(backends, place, sequence, i, BETWEEN_MS);
      // What policy does is there each time; on a busy machine the news of an ejection takes longer.
      if (seen !== expected) seen = await played(backends, place, sequence, i, PATIENT_MS);
      const detail = `gateway: ${expected}; ${place.name}: ${seen}\n${JSON.stringify(sequence.resources)}`;
      cases.push({ name: `${place.name}: ${sequence.name}`, ok: seen === expected, detail });
    }
  }
  return cases;
}

/** What a place makes of it, as a text. */
async function played(
  backends: Backends,
  place: Place,
  sequence: Sequence,
  turn: number,
  betweenMs: number,
): Promise<string> {
  const { scope, resources, calls, ailing } = sequence;
  await place.apply(scope, []); // what was known of endpoints is forgotten
  await place.apply(scope, resources);
  const outcomes: string[] = [];
  const asked = new Map<number, number>();
  const homes = new Map<string, Set<number>>();
  let session: string | null = null;
  for (const [n, call] of calls.entries()) {
    const id = `sequence-${place.name}-${turn}-${n}-${performance.now()}`;
    const request = requestOf(sequence, call, session);
    backends.script(id, request.script, ailing);
    const answer = await place.call(scope, request, id);
    const { attempts } = backends.seen(id);
    outcomes.push(answer.grpcStatus >= 0 ? `grpc ${answer.grpcStatus}` : `${answer.status}`);
    for (const { endpoint } of attempts) asked.set(endpoint, (asked.get(endpoint) ?? 0) + 1);
    const at = attempts.at(-1)?.endpoint ?? 0;
    if (call.user !== "") homes.set(call.user, (homes.get(call.user) ?? new Set()).add(at));
    session = sessionOf(answer) ?? session;
    // An Envoy's worker hears of an ejection from its main thread.
    if (ailing !== null) await sleep(betweenMs);
  }
  const parts = [tally(outcomes)];
  if (ailing !== null) parts.push(`asked the one that fails ${asked.get(1) ?? 0} times`);
  if (homes.size > 0)
    parts.push(`endpoints a user: ${[...new Set([...homes.values()].map(({ size }) => size))].sort()}`);
  return parts.join(", ");
}

const BETWEEN_MS = 5;
const PATIENT_MS = 200;
const ABOUT = {
  web: { kind: "http", method: "GET", path: "/a" },
  rpc: { kind: "grpc", method: "Read", path: "" },
} as const;

function requestOf({ scope }: Sequence, { user, inSession }: SequenceCall, session: string | null): EqualityRequest {
  const headers: [string, string][] = user === "" ? [] : [["x-user", user]];
  if (inSession && session !== null) headers.push([SESSION, session]);
  const fine: Behaviour =
    scope === "web" ? { do: "answer", status: 200 } : { do: "grpc", code: 0, trailersOnly: false };
  return { ...ABOUT[scope], host: `${scope}.weft`, headers, script: [fine] };
}

/** The name of the header that holds a session. */
const SESSION = "x-session";

function sessionOf({ headers }: Answer): string | null {
  return headers[SESSION]?.[0] ?? null;
}

function tally(outcomes: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of outcomes) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([one, count]) => `${count} x ${one}`)
    .join(", ");
}

const scope = fc.constantFrom("web" as const, "rpc" as const);
const policyOf = (service: string, spec: object): Resource =>
  ({
    apiVersion: WEFT_API,
    kind: "TrafficPolicy",
    metadata: { name: "sequence" },
    spec: { targetRefs: [{ kind: "Service", name: service }], ...spec },
  }) as unknown as Resource;
const times = (count: number, call: SequenceCall): SequenceCall[] => Array.from({ length: count }, () => call);
const NOBODY: SequenceCall = { user: "", inSession: false };

/** Failures in a row: answers, gateway failures, and what the caller sees itself. */
const ejections = fc
  .record({
    scope,
    rule: fc.constantFrom("5xx", "gateway", "local", "5xx by resets"),
    inRow: fc.constantFrom(1, 2, 3, 4),
    percent: fc.constantFrom(10, 50, 100),
    attempts: fc.constantFrom(0, 1),
  })
  .map(({ scope, rule, inRow, percent, attempts }): Sequence => {
    const resets = rule === "local" || rule === "5xx by resets";
    // Three lost streams put an endpoint aside at weft's places whatever policy says; with errors split, Envoy takes each connection that it has for a success.
    const count = rule === "local" ? 1 : resets ? Math.min(inRow, 2) : inRow;
    const outlier = {
      baseEjectionTime: "30s",
      maxEjectionPercent: percent,
      ...(rule === "gateway"
        ? { enforcingConsecutive5xx: 0, consecutiveGatewayFailure: count, enforcingConsecutiveGatewayFailure: 100 }
        : rule === "local"
          ? { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailure: count }
          : { consecutive5xx: count }),
    };
    const failure: Behaviour = resets
      ? { do: "reset" }
      : scope === "web"
        ? { do: "answer", status: rule === "gateway" ? 503 : 500 }
        : { do: "grpc", code: 14, trailersOnly: true };
    return {
      name: `${rule}, ${count} in a row at ${scope}, ${percent} % at most, ${attempts} retries`,
      scope,
      resources: [policyOf(scope, { outlier, retry: { attempts, on: ["5xx", "reset", "unavailable"] } })],
      calls: times(14, NOBODY),
      ailing: failure,
    };
  });

const hashes = fc.record({ scope, kind: fc.constantFrom("ring-hash", "maglev") }).map(({ scope, kind }): Sequence => {
  const users = Array.from({ length: 16 }, (_, i) => ({ user: `user-${i}`, inSession: false }));
  const hash = [{ by: "header", name: "x-user" }];
  const resources = [policyOf(scope, { balancer: { kind, hash } })];
  return { name: `${kind} by header at ${scope}`, scope, resources, calls: [...users, ...users], ailing: null };
});

/** A caller with a session stays, the same caller without it does not. */
const sessions = fc.record({ scope, with: fc.boolean() }).map(({ scope, with: inSession }): Sequence => {
  const sessionPersistence = { type: "Header", sessionName: SESSION };
  const resources = [
    {
      apiVersion: GATEWAY_API,
      kind: scope === "web" ? "HTTPRoute" : "GRPCRoute",
      metadata: { name: "kept" },
      spec: {
        parentRefs: [
          { kind: "Gateway", name: "gateway" },
          { kind: "Service", name: scope },
        ],
        rules: [{ backendRefs: [{ name: scope }], sessionPersistence }],
      },
    } as unknown as Resource,
  ];
  const name = `sessions by header at ${scope}, ${inSession ? "brought back" : "left behind"}`;
  return { name, scope, resources, calls: times(8, { user: "ann", inSession }), ailing: null };
});
