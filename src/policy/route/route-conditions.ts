import { fieldOf } from "../../core/fields.ts";
import type { CallRequest } from "../call.ts";
import type { Pattern } from "./pattern.ts";

/** What a match asks of a request beside its host and path. */
export interface Conditions {
  /** Nothing is asked: what a look-up reads of nearly every entry. */
  readonly plain: boolean;
  /** "" for any. */
  readonly method: string;
  /** Only gRPC requests. */
  readonly grpc: boolean;
  /** Flat [name, value, ...], names lower-case. */
  readonly headers: readonly string[];
  readonly query: readonly string[];
  readonly patterns: readonly ValuePattern[];
  /** Its CORS filter answers preflights for the method, too. */
  readonly preflight: boolean;
}

/** A header or query parameter whose value a regular expression must match. */
export interface ValuePattern {
  readonly in: "header" | "query";
  readonly name: string;
  readonly pattern: Pattern;
}

export function conditionsHold(entry: Conditions, request: CallRequest): boolean {
  if (entry.plain) return true;
  if (entry.method !== "" && entry.method !== request.method && !asksFor(entry, request)) return false;
  if (entry.grpc && !isGrpcRequest(request)) return false;
  const { headers, query, patterns } = entry;
  if (headers.length > 0 && wrongField(request.fields, headers) >= 0) return false;
  if (query.length > 0 && wrongParameter(request.path, query) >= 0) return false;
  return patterns.length === 0 || wrongPattern(request, patterns) === null;
}

/**
 * The first condition that a request does not meet, as a person would say it of the match: "is for GET", "needs header x-lane: blue". "" when all hold. With
 * `values` false values are left out: a caller is not told them. Those of secrets always are.
 */
export function unmetCondition(entry: Conditions, request: CallRequest, values: boolean): string {
  const { method, headers, query, patterns } = entry;
  if (method !== "" && method !== request.method && !asksFor(entry, request)) return `is for ${method}`;
  if (entry.grpc && !isGrpcRequest(request)) return "is for gRPC";
  const field = wrongField(request.fields, headers);
  const shows = (name: string): boolean => values && !SECRET.test(name);
  if (field >= 0) return `needs header ${headers[field]}${shows(headers[field]) ? `: ${headers[field + 1]}` : ""}`;
  const parameter = wrongParameter(request.path, query);
  if (parameter >= 0)
    return `needs query ${query[parameter]}${shows(query[parameter]) ? `=${query[parameter + 1]}` : ""}`;
  const wrong = wrongPattern(request, patterns);
  if (wrong === null) return "";
  return `needs ${wrong.in} ${wrong.name}${shows(wrong.name) ? ` like ${wrong.pattern.source}` : ""}`;
}

/** How specific the conditions are: method, then headers, then query parameters. */
export function compareConditions(a: Conditions, b: Conditions): number {
  return (
    Number(b.method !== "") - Number(a.method !== "") ||
    count(b, "header") - count(a, "header") ||
    count(b, "query") - count(a, "query")
  );
}

/** A request of gRPC proper (not gRPC-Web). */
export function isGrpcRequest({ fields }: CallRequest): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "content-type") continue;
    const type = fields[i + 1];
    return type.startsWith("application/grpc") && (type.length === 16 || type[16] === "+" || type[16] === ";");
  }
  return false;
}

/** Names of what is no business of those who read explanations. */
const SECRET = /auth|cookie|token|secret|key|password/i;

/** A browser's question whether it may send what the match is for (Fetch, "CORS-preflight request"). */
function asksFor({ preflight, method }: Conditions, { method: sent, fields }: CallRequest): boolean {
  return preflight && sent === "OPTIONS" && fieldOf(fields, "access-control-request-method") === method;
}

/** Index of the name of the first header that is not there with its value in any of its lines; -1 when all are. */
function wrongField(fields: readonly string[], wanted: readonly string[]): number {
  for (let i = 0; i < wanted.length; i += 2) {
    let found = false;
    for (let j = 0; j < fields.length && !found; j += 2)
      found = fields[j] === wanted[i] && fields[j + 1] === wanted[i + 1];
    if (!found) return i;
  }
  return -1;
}

/** The first value of each name counts, as the Gateway API advises. */
function wrongParameter(path: string, wanted: readonly string[]): number {
  if (wanted.length === 0) return -1;
  const query = parametersOf(path);
  for (let i = 0; i < wanted.length; i += 2) if (query?.get(wanted[i]) !== wanted[i + 1]) return i;
  return -1;
}

function wrongPattern({ fields, path }: CallRequest, patterns: readonly ValuePattern[]): ValuePattern | null {
  for (const wanted of patterns) {
    if (wanted.in === "query") {
      const value = parametersOf(path)?.get(wanted.name) ?? null;
      if (value === null || !wanted.pattern.matches(value)) return wanted;
      continue;
    }
    let found = false;
    for (let j = 0; j < fields.length && !found; j += 2)
      found = fields[j] === wanted.name && wanted.pattern.matches(fields[j + 1]);
    if (!found) return wanted;
  }
  return null;
}

function parametersOf(path: string): URLSearchParams | null {
  const mark = path.indexOf("?");
  return mark < 0 ? null : new URLSearchParams(path.slice(mark + 1));
}

function count({ headers, query, patterns }: Conditions, where: ValuePattern["in"]): number {
  const exact = (where === "header" ? headers : query).length / 2;
  return patterns.length === 0 ? exact : exact + patterns.filter((wanted) => wanted.in === where).length;
}
