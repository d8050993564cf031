import type { RE2JS } from "re2js";

/**
 * A regular expression that a person wrote for a route, on an engine whose time is linear in the text (RE2's, so: its syntax, without look-around and
 * back-references). As in Envoy (RegexMatcher) and the Gateway API implementations on it, the whole text must match: "/v[0-9]+" is not
 * found in "/v1/orders". Letter case counts, unless the pattern says (?i).
 */
export class Pattern {
  readonly source: string;
  /** What every match begins with, letter by letter: a text that does not is not given to the engine. */
  readonly prefix: string;
  readonly #expression: RE2JS;

  constructor(source: string, prefix: string, expression: RE2JS) {
    this.source = source;
    this.prefix = prefix;
    this.#expression = expression;
  }

  /** A text longer than MAX_TEXT does not match: time is linear in it, but it is the caller who chooses it. */
  matches(text: string): boolean {
    return text.length <= MAX_TEXT && text.startsWith(this.prefix) && this.#expression.testExact(text);
  }
}

/** What is wrong with a pattern, to complete "is no regular expression: ..."; "" when nothing is. Loads the engine. */
export function patternProblem(source: string): string {
  const made = make(source);
  return typeof made === "string" ? made : "";
}

/** Of a pattern that has been checked; throws when it has not. */
export function compilePattern(source: string): Pattern {
  const made = make(source);
  if (typeof made === "string") throw new Error(`${JSON.stringify(source)} is no regular expression: ${made}`);
  return new Pattern(source, literalPrefix(source), made);
}

export const MAX_PATTERN = 1_024;
/** Instructions of a compiled pattern: Envoy's default is 100, Istio's 32,768. At 1,024 a text of MAX_TEXT took at most 20 ms. */
const MAX_PROGRAM = 1_024;
export const MAX_TEXT = 4_096;

type Engine = typeof import("re2js");
let engine: Engine | null = null;

/** Loaded with the first pattern: it takes 6 MB and 6 ms that a process without patterns does not need to spend. */
function re2(): Engine {
  return (engine ??= process.getBuiltinModule("node:module").createRequire(import.meta.url)("re2js") as Engine);
}

function make(source: string): RE2JS | string {
  if (source.length > MAX_PATTERN) return `it is longer than ${MAX_PATTERN} characters`;
  // What is matched are bytes, each a character: Envoy refuses all its routes for one that names more.
  const beyond = /(?<!\\)(?:\\\\)*\\x\{0*[1-9a-f][0-9a-f]{2,}\}/i.exec(source);
  if (beyond !== null) return `it names a character beyond \\xFF (${beyond[0]}), which no path and no field has`;
  const { RE2JS } = re2();
  try {
    const expression = RE2JS.compile(source);
    const size = expression.programSize();
    return size <= MAX_PROGRAM ? expression : `it compiles to ${size} instructions; at most ${MAX_PROGRAM} are allowed`;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return text.replace(/^error parsing regexp: /, "");
  }
}

/** "/v1/users/" of "/v1/users/[0-9]+"; "" where that cannot be said at a glance. */
function literalPrefix(source: string): string {
  const start = source.startsWith("^") ? 1 : 0;
  if (source.includes("|")) return "";
  let end = start;
  while (end < source.length && PLAIN.test(source[end])) end++;
  // The last one may be what "?", "*" or "{" repeats.
  if (end < source.length && REPEATS.test(source[end])) end--;
  return source.slice(start, Math.max(start, end));
}

const PLAIN = /[\w/:@%&=;,!~-]/;
const REPEATS = /[?*+{]/;
