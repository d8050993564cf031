import { WeftError } from "../core/errors.ts";

/** Exit statuses of every command. `changed`: weft replay found calls that would come out otherwise. */
export const EXIT = { ok: 0, failed: 1, usage: 2, changed: 3, killed: 130 } as const;

/** Of a command that threw. */
export function statusOf(thrown: unknown): number {
  return thrown instanceof WeftError && thrown.reason === BAD_USAGE ? EXIT.usage : EXIT.failed;
}

/** What to throw for words on the command line that cannot be meant; `message` says what to write. */
export function usage(message: string, cause?: unknown): WeftError {
  return new WeftError("invalid_argument", message, { reason: BAD_USAGE, cause });
}

const BAD_USAGE = "BAD_USAGE";
