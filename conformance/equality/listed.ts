import { GATEWAY_API, type Resource, WEFT_API } from "../../src/policy/resource/resources.ts";
import type { Behaviour, EqualityCase, EqualityRequest, Observation } from "./model.ts";
import { PROVIDER } from "./tokens.ts";

/** What a listed divergence (src/policy/check/divergences.ts) looks like: no wider than need be, since whatever it explains is not told. */
export interface Listed {
  /** Whether a difference is of its kind. */
  explains(request: EqualityRequest, expected: Observation, found: Observation): boolean;
  /** A case that shows it, and nothing else. Where it does not any more, the entry goes from the table. */
  readonly example: EqualityCase;
}

const http = (more: Partial<EqualityRequest> = {}): EqualityRequest => ({
  ...{ kind: "http", method: "GET", path: "/a", host: "shop.test", headers: [] },
  script: [{ do: "answer", status: 200 }],
  ...more,
});
const grpc = (more: Partial<EqualityRequest> = {}): EqualityRequest => ({
  ...{ kind: "grpc", method: "Read", path: "", host: "shop.test", headers: [] },
  script: [{ do: "grpc", code: 0, trailersOnly: false }],
  ...more,
});
const httpRoute = (rule: object): Resource =>
  ({ apiVersion: GATEWAY_API, kind: "HTTPRoute", metadata: { name: "one" }, spec: { rules: [rule] } }) as Resource;
/** More than policy waits for (5 s), or what is no time. */
const asksForMuch = (step: Behaviour): boolean =>
  (step.do === "answer" && step.retryAfter !== undefined && !/^[0-5]$/.test(step.retryAfter)) ||
  (step.do === "grpc" && step.pushback !== undefined && !/^\d{1,3}$/.test(step.pushback));
const policy = (kind: string, spec: object): Resource =>
  ({ apiVersion: WEFT_API, kind, metadata: { name: "two" }, spec }) as unknown as Resource;

export const LISTED: Readonly<Record<string, Listed>> = {
  "envoy-changes-own-answers": {
    explains: (_request, expected, found) => expected.origin === "local" && found.origin === "local",
    example: {
      scope: "edge",
      resources: [
        httpRoute({
          filters: [
            { type: "ResponseHeaderModifier", responseHeaderModifier: { add: [{ name: "x-add", value: "more" }] } },
          ],
          backendRefs: [{ name: "web" }],
        }),
        policy("Authorization", { rules: [{ action: "deny" }] }),
      ],
      requests: [http()],
    },
  },
  "envoy-redirects-grpc": {
    explains: ({ kind }, { reason }) => kind === "grpc" && reason === "LOCAL_RESPONSE",
    example: {
      scope: "edge",
      resources: [httpRoute({ filters: [{ type: "RequestRedirect", requestRedirect: {} }] })],
      requests: [grpc()],
    },
  },
  "envoy-no-backend-reason": {
    explains: ({ kind }, { reason }) => kind === "grpc" && reason === "NO_BACKEND",
    example: {
      scope: "edge",
      resources: [httpRoute({ backendRefs: [{ name: "web", weight: 0 }] })],
      requests: [grpc()],
    },
  },
  "envoy-mirrors-to-endpoints": {
    explains: (_request, { attempts, mirrors }, found) =>
      attempts.length === 0 && mirrors.length === 1 && found.mirrors.length === 0,
    example: {
      scope: "edge",
      resources: [
        httpRoute({
          filters: [{ type: "RequestMirror", requestMirror: { backendRef: { name: "shadow" } } }],
          backendRefs: [{ name: "gone" }],
        }),
      ],
      requests: [http()],
    },
  },
  "envoy-resets-broken-grpc": {
    explains: ({ kind, script }, expected, found) =>
      kind === "grpc" && script.some((step) => step.do === "cut") && expected.origin === "backend" && found.broken,
    example: { scope: "rpc", resources: [], requests: [grpc({ host: "rpc.weft", script: [{ do: "cut" }] })] },
  },
  "envoy-pushback": {
    explains: ({ script }, expected, found) =>
      script.some(asksForMuch) && expected.attempts.length < found.attempts.length,
    example: {
      scope: "web",
      resources: [],
      requests: [http({ host: "web.weft", script: [{ do: "answer", status: 503, retryAfter: "9" }] })],
    },
  },
  "envoy-waits-past-deadline": {
    explains: ({ script }, expected, found) =>
      script.some((step) => step.do === "answer" && step.retryAfter === "1") &&
      expected.origin === "backend" &&
      found.reason === "DEADLINE_EXCEEDED",
    example: {
      scope: "web",
      resources: [policy("TrafficPolicy", { timeout: "150ms" })],
      requests: [http({ host: "web.weft", script: [{ do: "answer", status: 503, retryAfter: "1" }] })],
    },
  },
  "envoy-timeouts-as-resets": {
    explains: ({ script }, expected, found) =>
      script.some((step) => step.do === "reset" || step.do === "hang" || step.do === "late") &&
      expected.attempts.length < found.attempts.length,
    example: {
      scope: "web",
      resources: [policy("TrafficPolicy", { retry: { on: ["timeout"] } })],
      requests: [http({ host: "web.weft", script: [{ do: "reset" }, { do: "answer", status: 200 }] })],
    },
  },
  "envoy-hedges-by-retries": {
    explains: ({ script }, expected, found) =>
      script.some((step) => step.do === "hang" || step.do === "late") &&
      expected.attempts.length >= 2 &&
      expected.attempts.length < found.attempts.length,
    example: {
      scope: "web",
      resources: [
        policy("TrafficPolicy", { perTryTimeout: "120ms", retry: { attempts: 2 }, hedge: { onTryTimeout: true } }),
      ],
      requests: [http({ host: "web.weft", script: [{ do: "hang" }, { do: "hang" }, { do: "answer", status: 200 }] })],
    },
  },
  "envoy-times-whole-answers": {
    explains: ({ kind, script }, expected, found) =>
      kind === "http" && script.some((step) => step.do === "long") && !expected.broken && found.broken,
    example: {
      scope: "edge",
      resources: [httpRoute({ backendRefs: [{ name: "web" }] })],
      requests: [http({ script: [{ do: "long", forMs: 1_600 }] })],
    },
  },
  "envoy-preflights-nowhere": {
    explains: ({ method }, expected, found) =>
      method === "OPTIONS" && expected.origin === "local" && found.reason === "NO_BACKEND",
    example: {
      scope: "edge",
      resources: [
        httpRoute({
          filters: [{ type: "CORS", cors: { allowOrigins: ["https://shop.test"] } }],
          backendRefs: [{ name: "web", weight: 0 }],
        }),
      ],
      requests: [
        http({
          method: "OPTIONS",
          headers: [
            ["origin", "https://shop.test"],
            ["access-control-request-method", "GET"],
          ],
        }),
      ],
    },
  },
  "envoy-forbids-anonymous": {
    explains: ({ token }, expected, found) =>
      token === undefined && expected.reason === "AUTHENTICATION_REQUIRED" && found.reason === "FORBIDDEN",
    example: {
      scope: "edge",
      resources: [
        httpRoute({ backendRefs: [{ name: "web" }] }),
        policy("Authentication", { providers: [PROVIDER], optional: true }),
        {
          ...policy("Authorization", { rules: [{ action: "allow", subjects: ["ann"] }] }),
          metadata: { name: "three" },
        },
      ],
      requests: [http()],
    },
  },
  "envoy-retry-after": {
    explains: (_request, expected, found) =>
      expected.reason === "RATE_LIMITED" && found.headers.includes("retry-after"),
    example: {
      scope: "edge",
      resources: [
        httpRoute({ backendRefs: [{ name: "web" }] }),
        policy("RateLimit", { requests: 1, per: "1h" }),
        policy("TrafficPolicy", { timeout: "5s" }),
      ],
      requests: [http({ script: [{ do: "late", afterMs: 1_200 }] }), http()],
    },
  },
  "envoy-methods-of-others": {
    explains: ({ kind }, expected, found) =>
      kind === "grpc" &&
      (expected.attempts.length > found.attempts.length || (expected.grpcStatus === 4 && found.broken)),
    example: {
      scope: "edge",
      resources: [httpRoute({ backendRefs: [{ name: "web" }] })],
      requests: [grpc({ script: [{ do: "answer", status: 503 }] })],
    },
  },
  "fallback-as-message": {
    explains: ({ kind }, expected, found) => kind === "grpc" && expected.grpcStatus !== 0 && found.grpcStatus === 0,
    example: {
      scope: "rpc",
      resources: [policy("TrafficPolicy", { fallback: { body: {} } })],
      requests: [grpc({ host: "rpc.weft", script: [{ do: "grpc", code: 14, trailersOnly: true }] })],
    },
  },
};
