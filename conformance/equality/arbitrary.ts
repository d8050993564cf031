import fc from "fast-check";
import { inspectResources } from "../../src/policy/resource/validate.ts";
import { anyPolicies } from "./arbitrary-policies.ts";
import { anyRoutes, GRPC_METHODS, HOSTS, HTTP_METHODS, LANES, PATHS } from "./arbitrary-routes.ts";
import { withBase, withFallThrough } from "./base.ts";
import { type Behaviour, type EqualityCase, type EqualityRequest, SCOPES, type Scope } from "./model.ts";

/** Systems that are valid, with requests that are about them. */
export function anyCase(scopes: readonly Scope[] = SCOPES): fc.Arbitrary<EqualityCase> {
  return fc
    .constantFrom(...scopes)
    .chain((scope) =>
      fc
        .tuple(anyRoutes(scope), anyPolicies(scope), anyRequests(scope))
        .map(
          ([routes, policies, requests]): EqualityCase => ({ scope, resources: [...routes, ...policies], requests }),
        ),
    )
    .filter(isValid);
}

export function isValid({ scope, resources }: EqualityCase): boolean {
  return inspectResources(withBase(scope, withFallThrough(scope, resources))).errors.length === 0;
}

const good: Behaviour = { do: "answer", status: 200 };
const httpStep = fc.oneof(
  { weight: 2, arbitrary: fc.constant(good) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(500, 503, 404, 502, 204, 301).map((status): Behaviour => ({ do: "answer", status })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Behaviour>({ do: "reset" }, { do: "cut" }, { do: "hang" }, { do: "late", afterMs: 30 }),
  },
);
const grpcStep = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Behaviour>({ do: "grpc", code: 0, trailersOnly: false }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(14, 10, 8, 5, 13), fc.boolean())
      .map(([code, trailersOnly]): Behaviour => ({ do: "grpc", code, trailersOnly })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Behaviour>(
      { do: "reset" },
      { do: "cut" },
      { do: "hang" },
      { do: "late", afterMs: 30 },
      { do: "answer", status: 503 },
    ),
  },
);

/** Some attempts fail, and the last behaviour holds on: what hangs for good needs a time-out to end, so few do. */
function scriptOf(step: fc.Arbitrary<Behaviour>, fine: Behaviour): fc.Arbitrary<Behaviour[]> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant<Behaviour[]>([fine]) },
    { weight: 4, arbitrary: fc.array(step, { minLength: 1, maxLength: 3 }).map((steps) => [...steps, fine]) },
    { weight: 1, arbitrary: step.filter((one) => one.do !== "hang").map((one): Behaviour[] => [one]) },
  );
}

const headers = fc
  .tuple(
    fc.option(fc.constantFrom("ann", "bob", "carl"), { nil: undefined, freq: 2 }),
    fc.option(fc.constantFrom(...LANES), { nil: undefined, freq: 2 }),
    fc.option(fc.constant("caller"), { nil: undefined, freq: 1 }),
  )
  .map(([user, lane, set]) => {
    const made: [string, string][] = [];
    if (user !== undefined) made.push(["x-user", user]);
    if (lane !== undefined) made.push(["x-lane", lane]);
    if (set !== undefined) made.push(["x-set", set], ["x-drop", set]);
    return made;
  });

function anyRequests(scope: Scope): fc.Arbitrary<EqualityRequest[]> {
  const http = fc
    .record({
      method: fc.constantFrom(...HTTP_METHODS, "GET", "GET"),
      path: fc.constantFrom(...PATHS),
      query: fc.constantFrom("", "", "?q=1", "?q=2&q=1", "?q=a+b", "?r=1"),
      host: scope === "edge" ? fc.constantFrom(...HOSTS) : fc.constant("web.weft"),
      headers,
      script: scriptOf(httpStep, good),
    })
    .map(({ path, query, ...rest }): EqualityRequest => ({ kind: "http", path: path + query, ...rest }));
  const grpc = fc
    .record({
      method: fc.constantFrom(...GRPC_METHODS),
      host: scope === "edge" ? fc.constantFrom(...HOSTS) : fc.constant("rpc.weft"),
      headers,
      script: scriptOf(grpcStep, { do: "grpc", code: 0, trailersOnly: false }),
    })
    .map((made): EqualityRequest => ({ kind: "grpc", path: "", ...made }));
  const some = (one: fc.Arbitrary<EqualityRequest>) => fc.array(one, { minLength: 1, maxLength: 10, size: "max" });
  if (scope === "web") return some(http);
  if (scope === "rpc") return some(grpc);
  // What has arrived arrived at one process, which counts for itself.
  if (scope === "in") return fc.oneof(some(http), some(grpc));
  return some(fc.oneof({ weight: 2, arbitrary: http }, { weight: 1, arbitrary: grpc }));
}
