import { type ServerInterceptor, service, WeftError } from "weftmesh";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";

/** Logs each call with how long it took. */
export const timed =
  (log: (line: string) => void): ServerInterceptor =>
  (next) =>
  async (request) => {
    const started = performance.now();
    try {
      return await next(request);
    } finally {
      log(`${request.method.name} ${request.call.requestId} ${(performance.now() - started).toFixed(1)} ms`);
    }
  };

/** Lets nobody through without a token. */
export const authenticated: ServerInterceptor = (next) => (request) => {
  if (request.call.requestHeaders.get("authorization") === "Bearer let-me-in") return next(request);
  throw new WeftError("unauthenticated", "send `authorization: Bearer let-me-in`", { reason: "NO_TOKEN" });
};

/** A counter that refuses what it cannot count, and says in a trailer how long it thought. */
export const guardedCounter = (log: (line: string) => void) =>
  service(
    Counter,
    {
      count({ count }, call) {
        if (count < 0n) {
          throw new WeftError("invalid_argument", "count must not be negative", {
            reason: "NEGATIVE_COUNT",
            place: { field: "count" },
          });
        }
        call.setTrailer("x-thought-for", "0 ms");
        return { count: count + 1n };
      },
    },
    { interceptors: [timed(log), authenticated], maxRequestBytes: 64 * 1024, defaultTimeoutMs: 5_000 },
  );
