import type { CallState } from "../machine/call-state.ts";
import type { RateLimitCost } from "./rate-limit-spec.ts";

/** How much of a limit a call takes: a whole number, at least 1. */
export type CostReader = (call: CallState) => number;

/** `methodName`: "shop.v1.Orders/List", "" for what is not gRPC. */
export function compileCost(spec: number | RateLimitCost | undefined, methodName: string): CostReader {
  if (spec === undefined || typeof spec === "number") {
    const cost = spec ?? 1;
    return () => cost;
  }
  const least = spec.methods?.[methodName] ?? spec.fixed ?? 1;
  const header = (spec.header ?? "").toLowerCase();
  if (header === "") return () => least;
  const most = Math.max(least, spec.max ?? 100);
  return ({ caller, request }) => {
    const { fields } = caller.asSent ?? request;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== header) continue;
      const asked = /^\d{1,9}$/.test(fields[i + 1]) ? Number(fields[i + 1]) : least;
      return Math.min(most, Math.max(least, asked));
    }
    return least;
  };
}
