import { WeftError } from "../core/errors.ts";

/** Exit statuses of every command. `changed`: weft replay found calls that would come out otherwise. */
export const EXIT = { ok: 0, failed: 1, usage: 2, changed: 3, killed: 130 } as const;

/** Of a command that threw. */
export function statusOf(thrown: unknown): number {
  return thrown instanceof WeftError && USAGE_REASONS.has(thrown.reason) ? EXIT.usage : EXIT.failed;
}

const USAGE_REASONS: ReadonlySet<string> = new Set(["BAD_USAGE"]);
