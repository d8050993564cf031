import { WeftError } from "../core/errors.ts";
import { sanitize, type Terminal } from "./terminal.ts";

/** Prints an error for people (on stderr), or as one JSON line (on stdout). A bug of weft's own shows its stack; nothing else does. */
export function printError(thrown: unknown, terminal: Terminal, json = false): void {
  if (json) {
    terminal.out(`${JSON.stringify({ type: "error", ...errorObject(thrown) })}\n`);
    return;
  }
  const { red, dim } = terminal.errColor;
  if (!(thrown instanceof WeftError)) {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    terminal.err(`${red("error:")} this is a bug in weft; please report it\n${text}\n`);
    return;
  }
  // A service that was called says what it likes.
  const [first, ...rest] = sanitize(thrown.message, false).split("\n");
  const more = rest.map((line) => `\n  ${line}`).join("");
  terminal.err(`${red("error:")} ${first} ${dim(`[${sanitize(thrown.reason, false)}]`)}${more}\n`);
}

/** An error as data. */
export function errorObject(thrown: unknown): Record<string, unknown> {
  if (!(thrown instanceof WeftError)) {
    return { code: "internal", reason: "BUG", message: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  const { code, reason, message, place } = thrown;
  return { code, reason, message, ...(place === undefined ? {} : { place }) };
}
