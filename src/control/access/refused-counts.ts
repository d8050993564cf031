import { toWeftError } from "../../core/errors.ts";
import type { ServerInterceptor } from "../../service/interceptor.ts";

/** How often something was refused since the start, by the reason that was given, and connections by the limit that they were over. */
export class RefusedCounts {
  readonly byReason = new Map<string, number>();
  readonly connections = new Map<string, number>();

  count(reason: string): void {
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1);
  }

  countConnection(limit: string): void {
    this.connections.set(limit, (this.connections.get(limit) ?? 0) + 1);
  }

  of(reason: string): number {
    return this.byReason.get(reason) ?? 0;
  }
}

/** Counts who is refused for who they are, what they may or how often they ask; not what is wrong with a request. Outermost. */
export function countRefusals(counts: RefusedCounts): ServerInterceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (thrown) {
      const { code, reason } = toWeftError(thrown);
      if (CODES.has(code) || REASONS.has(reason)) counts.count(reason);
      throw thrown;
    }
  };
}

const CODES: ReadonlySet<string> = new Set(["unauthenticated", "permission_denied", "resource_exhausted"]);
const REASONS: ReadonlySet<string> = new Set(["PLAIN_TEXT_REFUSED", "CUT_OFF", "AUDIT_AWAY"]);
