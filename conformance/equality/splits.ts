import { GATEWAY_API, type Resource } from "../../src/policy/resource/resources.ts";
import type { Case } from "../suite.ts";
import type { Backends } from "./backends.ts";
import type { EqualityRequest, Place, Scope } from "./model.ts";

/** Calls a place and split. */
const CALLS = 1_000;
/** Chi-square with one degree of freedom: a fair split of so many is over it at most once in a thousand million times, so a run of all places once in thirty million. */
const LIMIT = 42;
const AT_ONCE = 20;

const SHARES = [
  [1, 1],
  [9, 1],
  [1, 3],
] as const;

/** Weights are chance: that each place gives each backend its share is held statistically, Pearson's chi-square against the weights. */
export async function splitCases(backends: Backends, places: readonly Place[]): Promise<Case[]> {
  const cases: Case[] = [];
  for (const place of places) {
    for (const scope of ["edge", "rpc"] as const) {
      const request = requestIn(scope);
      if (!place.takes(scope, request)) continue;
      for (const shares of SHARES) cases.push(await splitCase(backends, place, scope, request, shares));
    }
  }
  return cases;
}

async function splitCase(
  backends: Backends,
  place: Place,
  scope: Scope,
  request: EqualityRequest,
  [v1, v2]: readonly [number, number],
): Promise<Case> {
  await place.apply(scope, [splitRoute(scope, v1, v2)]);
  const counts = new Map<string, number>();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < CALLS) {
      const id = `split-${place.name}-${v1}-${v2}-${next++}`;
      backends.script(id, request.script);
      await place.call(scope, request, id);
      const [attempt] = backends.seen(id).attempts;
      const name = attempt?.backend ?? "nobody";
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  const service = scope === "rpc" ? "duo" : "split";
  const total = v1 + v2;
  const seen = [counts.get(`${service}@v1`) ?? 0, counts.get(`${service}@v2`) ?? 0];
  const expected = [(CALLS * v1) / total, (CALLS * v2) / total];
  const statistic = seen.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
  return {
    name: `${place.name}, ${scope}: ${v1} to ${v2}`,
    ok: seen[0] + seen[1] === CALLS && statistic < LIMIT,
    detail: `${seen.join(" to ")} of ${CALLS}, chi-square ${statistic.toFixed(1)} (at most ${LIMIT})`,
  };
}

function requestIn(scope: Scope): EqualityRequest {
  const rest = { headers: [], script: [] };
  if (scope === "rpc") return { kind: "grpc", method: "Read", path: "", host: "rpc.weft", ...rest };
  return { kind: "http", method: "GET", path: "/a", host: "shop.test", ...rest };
}

function splitRoute(scope: Scope, v1: number, v2: number): Resource {
  const [kind, service] = scope === "rpc" ? (["GRPCRoute", "duo"] as const) : (["HTTPRoute", "split"] as const);
  const parentRefs =
    scope === "rpc"
      ? [
          { kind: "Gateway" as const, name: "gateway" },
          { kind: "Service" as const, name: "rpc" },
        ]
      : [];
  const backendRefs = [
    { name: `${service}@v1`, weight: v1 },
    { name: `${service}@v2`, weight: v2 },
  ];
  return { apiVersion: GATEWAY_API, kind, metadata: { name: "split" }, spec: { parentRefs, rules: [{ backendRefs }] } };
}
