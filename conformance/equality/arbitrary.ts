import fc from "fast-check";
import { inspectResources } from "../../src/policy/resource/validate.ts";
import { anyPolicies } from "./arbitrary-policies.ts";
import { anyRoutes, GRPC_METHODS, HOSTS, HTTP_METHODS, LANES, PATHS } from "./arbitrary-routes.ts";
import { withBase, withFallThrough } from "./base.ts";
import {
  type Behaviour,
  type EqualityCase,
  type EqualityRequest,
  SCOPES,
  type Scope,
  type TokenName,
} from "./model.ts";
import { STREAMED } from "./raw-call.ts";

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
    arbitrary: fc
      .constantFrom("0", "0", "1", "9", "soon")
      .map((retryAfter): Behaviour => ({ do: "answer", status: 503, retryAfter })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Behaviour>(
      { do: "reset" },
      { do: "cut" },
      { do: "hang" },
      { do: "late", afterMs: 30 },
      { do: "long", forMs: 300 },
    ),
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
    arbitrary: fc
      .tuple(fc.constantFrom("0", "20", "-1", "9000"), fc.boolean())
      .map(([pushback, trailersOnly]): Behaviour => ({ do: "grpc", code: 14, trailersOnly, pushback })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(0, 14, 8), fc.constantFrom(1, 3, 20))
      .map(([code, messages]): Behaviour => ({ do: "grpc", code, trailersOnly: false, messages })),
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

/** Below what is kept for another attempt by default, and above. */
const bodies = fc.option(fc.constantFrom(20, 5_000, 60_000, 200_000), { nil: undefined, freq: 1 });
const origins = fc.constantFrom("https://shop.test", "https://a.shop.test", "http://shop.test", "https://evil.test");
const tokens = fc.option(
  fc.constantFrom<TokenName>("ann", "ann", "bob", "bob", "expired", "forged", "strangers", "elsewhere", "garbled"),
  { nil: undefined, freq: 1 },
);

/** A web page that asks: its origin, and of a preflight the method and the fields. */
const pages = fc.oneof(
  { weight: 5, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.tuple(origins),
      fc.tuple(origins, fc.constantFrom("GET", "PUT", "DELETE")),
      fc.tuple(origins, fc.constantFrom("PUT", "POST"), fc.constantFrom("x-lane", "x-user, x-lane")),
    ) as fc.Arbitrary<string[]>,
  },
);

function withoutMessages({ messages: _messages, ...step }: Behaviour & { do: "grpc" }): Behaviour {
  return step;
}

/** Three lost streams in a row put an endpoint aside at weft's places, without any policy; that is no matter of one call, so there are less of them. */
function withFewResets(requests: readonly EqualityRequest[]): EqualityRequest[] {
  let left = MAX_RESETS;
  return requests.map((request) => {
    const script = request.script.map((step, i): Behaviour => {
      if (step.do !== "reset") return step;
      left -= i === request.script.length - 1 ? MAX_RESETS : 1;
      if (left >= 0) return step;
      return request.kind === "http" ? { do: "answer", status: 503 } : { do: "grpc", code: 14, trailersOnly: true };
    });
    return { ...request, script };
  });
}

const MAX_RESETS = 4;

/** Without what is undefined. */
function written<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

function anyRequests(scope: Scope): fc.Arbitrary<EqualityRequest[]> {
  const http = fc
    .record({
      method: fc.constantFrom(...HTTP_METHODS, "GET", "GET"),
      path: fc.constantFrom(...PATHS),
      query: fc.constantFrom("", "", "?q=1", "?q=2&q=1", "?q=a+b", "?r=1"),
      host: scope === "edge" ? fc.constantFrom(...HOSTS) : fc.constant("web.weft"),
      headers,
      body: bodies,
      token: tokens,
      page: scope === "edge" ? pages : fc.constant(undefined),
      script: scriptOf(httpStep, good),
    })
    .map(({ path, query, body, token, page, ...rest }): EqualityRequest => {
      const made = { kind: "http" as const, path: path + query, ...rest };
      if (page !== undefined) {
        const [origin, ...asks] = page;
        made.headers = [...made.headers, ["origin", origin]];
        const [wanted, fields] = asks;
        if (wanted !== undefined) {
          const question =
            fields === undefined ? [] : ([["access-control-request-headers", fields]] as [string, string][]);
          return {
            ...made,
            method: "OPTIONS",
            headers: [["origin", origin], ["access-control-request-method", wanted], ...question],
          };
        }
      }
      const bytes = rest.method === "POST" || rest.method === "PUT" ? body : undefined;
      return { ...made, ...written({ body: bytes, token }) };
    });
  const grpc = fc
    .record({
      method: fc.constantFrom(...GRPC_METHODS, STREAMED),
      host: scope === "edge" ? fc.constantFrom(...HOSTS) : fc.constant("rpc.weft"),
      headers,
      body: bodies,
      token: tokens,
      script: scriptOf(grpcStep, { do: "grpc", code: 0, trailersOnly: false }),
    })
    .map(({ body, token, script, ...made }): EqualityRequest => {
      const streamed = made.method === STREAMED;
      // Of a method of one message only one can come.
      const steps = streamed
        ? script.map((step): Behaviour => (step.do === "hang" ? { do: "late", afterMs: 30 } : step))
        : script.map((step) => (step.do === "grpc" ? withoutMessages(step) : step));
      const rest = written({ body: streamed ? undefined : body, token });
      return { kind: "grpc", path: "", ...made, script: steps, ...rest };
    });
  const some = (one: fc.Arbitrary<EqualityRequest>) =>
    fc.array(one, { minLength: 1, maxLength: 10, size: "max" }).map(withFewResets);
  if (scope === "web") return some(http);
  if (scope === "rpc") return some(grpc);
  // What has arrived arrived at one process, which counts for itself.
  if (scope === "in") return fc.oneof(some(http), some(grpc));
  return some(fc.oneof({ weight: 2, arbitrary: http }, { weight: 1, arbitrary: grpc }));
}
