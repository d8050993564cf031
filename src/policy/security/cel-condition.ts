import { didYouMean } from "../../core/suggest.ts";
import type { RuleInput } from "./rule-input.ts";

/** A condition in CEL (cel.dev), compiled. */
export interface CelCondition {
  readonly text: string;
  /**
   * Null: it could not be evaluated (a field that is not there, a value of another type, a result that is no boolean). `path`: request.path, of which there may be
   * two forms.
   */
  test(input: RuleInput, path: string): boolean | null;
}

/** @throws Error whose message says what is wrong and at which column */
export function compileCel(text: string): CelCondition {
  const { parse, plan, celEnv, isCelError } = cel();
  let parsed: ReturnType<Cel["parse"]>;
  try {
    parsed = parse(text);
  } catch (error) {
    throw new Error(syntaxMessage(error));
  }
  checkExpression(parsed.expr as unknown as Node);
  const evaluate = plan(celEnv(), parsed) as (bindings: Record<string, unknown>) => unknown;
  return {
    text,
    test(input, path) {
      try {
        const result = evaluate(bindingsOf(input, path));
        if (isCelError(result as never)) return null;
        return typeof result === "boolean" ? result : null;
      } catch {
        return null;
      }
    },
  };
}

/** What is wrong with an expression, "" when nothing is. */
export function celProblem(text: string): string {
  try {
    compileCel(text);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

/** What an expression sees: only maps, lists, strings, numbers and booleans. */
function bindingsOf(input: RuleInput, path: string): Record<string, unknown> {
  const { principal, request, caller } = input;
  return {
    request: record({
      method: request.method,
      path,
      host: input.host,
      scheme: request.scheme,
      headers: headersOf(request.fields),
      grpc_method: input.grpcMethod,
    }),
    peer: record({ identity: caller.peerIdentity, address: input.address }),
    principal: record({
      subject: principal.subject,
      issuer: principal.issuer,
      method: principal.method,
      provider: principal.provider,
      claims: asMap(principal.claims),
    }),
    now: wellKnown().timestampFromMs(Math.floor(input.wall)),
  };
}

function headersOf(fields: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const known = headers.get(fields[i]);
    headers.set(fields[i], known === undefined ? fields[i + 1] : `${known}, ${fields[i + 1]}`);
  }
  return headers;
}

/** Maps, since a claim may be called "constructor". Claims are kept with a verified token, so each is turned once. */
function asMap(claims: Readonly<Record<string, unknown>>): unknown {
  let map = CONVERTED.get(claims);
  if (map === undefined) CONVERTED.set(claims, (map = converted(claims)));
  return map;
}

function converted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(converted);
  return typeof value === "object" && value !== null
    ? record(Object.fromEntries(Object.entries(value).map(([name, one]) => [name, converted(one)])))
    : value;
}

function record(fields: Record<string, unknown>): Map<string, unknown> {
  return new Map(Object.entries(fields));
}

const CONVERTED = new WeakMap<object, unknown>();

// --- what an expression may be ----------------------------------------------------------------------------------

/** The syntax tree, as far as it is looked at. */
interface Node {
  readonly exprKind: { readonly case?: string; readonly value?: never };
}

/**
 * The parser leaves names open: they are checked here, so that a misspelt one is told when the policy is written and not found out when nobody gets in. Also
 * bounds what a condition may cost: its size, and no loop within a loop.
 */
function checkExpression(root: Node): void {
  let nodes = 0;
  const visit = (node: Node | undefined, bound: readonly string[]): void => {
    if (node === undefined) return;
    if (++nodes > MAX_NODES) throw new Error(`is too large: more than ${MAX_NODES} parts`);
    const kind = node.exprKind.case;
    const value = node.exprKind.value as unknown as Record<string, unknown>;
    switch (kind) {
      case "identExpr": {
        const name = value.name as string;
        if (bound.includes(name) || Object.hasOwn(VARIABLES, name) || TYPES.has(name)) return;
        throw new Error(`knows no ${name}${didYouMean(name, Object.keys(VARIABLES)) || KNOWN_TEXT}`);
      }
      case "selectExpr": {
        const operand = value.operand as Node;
        const inner = operand.exprKind.value as unknown as { name?: string } | undefined;
        const variable = operand.exprKind.case === "identExpr" ? (inner?.name ?? "") : "";
        const known = !bound.includes(variable) && Object.hasOwn(VARIABLES, variable);
        const fields = known ? VARIABLES[variable] : undefined;
        const field = value.field as string;
        if (fields !== undefined && !fields.includes(field)) {
          throw new Error(`${variable} has no ${field}${didYouMean(field, fields) || `; it has ${fields.join(", ")}`}`);
        }
        return visit(operand, bound);
      }
      case "callExpr": {
        const name = value.function as string;
        const args = value.args as Node[];
        if (/^\w+$/.test(name) && !FUNCTIONS.has(name)) {
          throw new Error(`knows no function ${name}${didYouMean(name, [...FUNCTIONS])}`);
        }
        if (name === "matches" && args.at(-1)?.exprKind.case !== "constExpr") {
          throw new Error("the pattern of matches must be written out");
        }
        visit(value.target as Node | undefined, bound);
        for (const arg of args) visit(arg, bound);
        return;
      }
      case "listExpr":
        for (const element of value.elements as Node[]) visit(element, bound);
        return;
      case "structExpr":
        if (value.messageName !== "") throw new Error("cannot make messages");
        for (const { keyKind, value: of } of value.entries as { keyKind: { value: Node }; value: Node }[]) {
          visit(keyKind.value, bound);
          visit(of, bound);
        }
        return;
      case "comprehensionExpr": {
        if (bound.length > 0) throw new Error("has a loop within a loop, which costs too much");
        visit(value.iterRange as Node, bound);
        const inside = [...bound, value.accuVar, value.iterVar, value.iterVar2].filter(
          (name) => name !== "",
        ) as string[];
        for (const part of ["accuInit", "loopCondition", "loopStep", "result"]) visit(value[part] as Node, inside);
        return;
      }
      default:
    }
  };
  visit(root, []);
}

/** "1:3: found = but expecting ..." of the parser. */
function syntaxMessage(error: unknown): string {
  const { rawMessage, location, message } = error as {
    rawMessage?: string;
    location?: { start: { line: number; column: number } };
    message?: string;
  };
  const at = location === undefined ? "" : ` at line ${location.start.line}, column ${location.start.column}`;
  return `is no CEL expression${at}: ${rawMessage ?? message ?? String(error)}`;
}

const VARIABLES: Readonly<Record<string, readonly string[] | undefined>> = {
  request: ["method", "path", "host", "scheme", "headers", "grpc_method"],
  peer: ["identity", "address"],
  principal: ["subject", "issuer", "method", "provider", "claims"],
  now: undefined,
};
const KNOWN_TEXT = `; it knows ${Object.keys(VARIABLES).join(", ")}`;
const TYPES: ReadonlySet<string> = new Set([
  "int",
  "uint",
  "double",
  "bool",
  "string",
  "bytes",
  "list",
  "map",
  "null_type",
  "type",
]);
/** The standard's (CEL specification, "List of Standard Definitions"). */
const FUNCTIONS: ReadonlySet<string> = new Set([
  ...["bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "int", "matches", "size", "startsWith"],
  ...["string", "timestamp", "type", "uint", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear"],
  ...["getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds"],
]);
const MAX_NODES = 256;
export const MAX_CEL = 1_024;

type Cel = typeof import("@bufbuild/cel");
type WellKnown = typeof import("@bufbuild/protobuf/wkt");
let engine: Cel | null = null;
let types: WellKnown | null = null;

/** Loaded when the first condition is compiled: processes without any do without it. */
function cel(): Cel {
  return (engine ??= process.getBuiltinModule("node:module").createRequire(import.meta.url)("@bufbuild/cel") as Cel);
}

function wellKnown(): WellKnown {
  return (types ??= process.getBuiltinModule("node:module").createRequire(import.meta.url)(
    "@bufbuild/protobuf/wkt",
  ) as WellKnown);
}
