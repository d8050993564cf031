import { WeftError } from "../core/errors.ts";
import { formatBinding, type HttpBinding } from "./http-rule.ts";
import { decodeUrlPart } from "./percent.ts";

/** Finds the binding for an HTTP request. Immutable; made anew when contracts change. */
export interface RestRouter<T> {
  /**
   * @param path the path without the query, as it came
   * @returns the binding with the raw values of its variables, decoded; or why there is none
   * Throws invalid_argument (BAD_PATH) when the path would match but is wrongly percent-encoded.
   */
  match(httpMethod: string, path: string): RestMatch<T>;
}

export type RestMatch<T> =
  | {
      readonly kind: "found";
      readonly route: RestRoute<T> /** One for each variable of the template. */;
      readonly variables: readonly string[];
    }
  | { readonly kind: "not-found" }
  /** The path is served by other methods: 405 with this Allow field. */
  | { readonly kind: "method-not-allowed"; readonly allow: string };

export interface RestRoute<T> {
  readonly binding: HttpBinding;
  /** Whatever the caller wants back: its method table entry, a service's name. */
  readonly target: T;
}

/**
 * A router over bindings. Literal segments win over `*`, and `*` over `**`, segment by segment from the left; a verb wins over none; a
 * binding of the very method wins over `*`. HEAD is served by GET's binding when it has none of its own.
 * Throws invalid_argument (HTTP_CONFLICT), naming both methods, when two bindings match the same requests.
 */
export function createRestRouter<T>(routes: Iterable<RestRoute<T>>): RestRouter<T> {
  const root = newNode<T>();
  for (const route of routes) insert(root, route);
  return { match: (httpMethod, path) => match(root, httpMethod, path) };
}

/** Path segments are a trie; what ends at a node is found by verb, then by HTTP method. */
interface Node<T> {
  literals: Map<string, Node<T>>;
  one: Node<T> | null;
  /** Ends of `**`: always a leaf. */
  any: Node<T> | null;
  ends: Map<string, Map<string, RestRoute<T>>> | null;
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), one: null, any: null, ends: null };
}

function insert<T>(root: Node<T>, route: RestRoute<T>): void {
  const { template, httpMethod } = route.binding;
  let node = root;
  for (const segment of template.segments) {
    if (segment.kind === "one") node = node.one ??= newNode();
    else if (segment.kind === "any") node = node.any ??= newNode();
    else {
      let next = node.literals.get(segment.text);
      if (next === undefined) node.literals.set(segment.text, (next = newNode()));
      node = next;
    }
  }
  node.ends ??= new Map();
  let methods = node.ends.get(template.verb);
  if (methods === undefined) node.ends.set(template.verb, (methods = new Map()));
  const other = methods.get(httpMethod);
  if (other !== undefined) {
    const [first, second] = [other.binding, route.binding].map((binding) => {
      return `${binding.method.parent.typeName}/${binding.method.name} (${formatBinding(binding)})`;
    });
    throw new WeftError("invalid_argument", `${first} and ${second} match the same requests; change one path`, {
      reason: "HTTP_CONFLICT",
      place: { field: `${route.binding.method.parent.typeName}/${route.binding.method.name}` },
    });
  }
  methods.set(httpMethod, route);
}

function match<T>(root: Node<T>, httpMethod: string, path: string): RestMatch<T> {
  if (path.charCodeAt(0) !== 0x2f) return NOT_FOUND;
  const raw = path === "/" ? [] : path.slice(1).split("/");
  const allowed = new Set<string>();
  let malformed = false;
  // The verb is what follows the last colon of the last segment, if a template ends with it; else the colon is an ordinary letter.
  const last = raw.length === 0 ? "" : raw[raw.length - 1];
  const colon = last.lastIndexOf(":");
  for (let withVerb = colon > 0 ? 1 : 0; withVerb >= 0; withVerb--) {
    const verb = withVerb === 1 ? (decodeUrlPart(last.slice(colon + 1)) ?? "") : "";
    if (withVerb === 1 && verb === "") continue;
    const segments = withVerb === 1 ? [...raw.slice(0, -1), last.slice(0, colon)] : raw;
    const decoded = segments.map((segment) => decodeUrlPart(segment));
    const search: Search = { segments, decoded, verb, httpMethod, allowed };
    const route = find(root, 0, search);
    if (route === null) continue;
    const variables = readVariables(route.binding, segments, decoded);
    if (variables === null) malformed = true;
    else return { kind: "found", route, variables };
  }
  if (malformed) {
    throw new WeftError("invalid_argument", "the path is not valid percent-encoded UTF-8", { reason: "BAD_PATH" });
  }
  if (allowed.size === 0) return NOT_FOUND;
  if (allowed.has("GET")) allowed.add("HEAD");
  return { kind: "method-not-allowed", allow: [...allowed].sort().join(", ") };
}

const NOT_FOUND = { kind: "not-found" } as const;

interface Search {
  readonly segments: readonly string[];
  readonly decoded: readonly (string | undefined)[];
  readonly verb: string;
  readonly httpMethod: string;
  /** Methods of ends that the path reached. */
  readonly allowed: Set<string>;
}

/** Depth first in order of precedence; visits no node of the trie twice. */
function find<T>(node: Node<T>, depth: number, search: Search): RestRoute<T> | null {
  if (depth === search.segments.length) {
    const found = endAt(node, search);
    if (found !== null) return found;
  } else {
    const text = search.decoded[depth];
    const literal = text === undefined ? undefined : node.literals.get(text);
    const found =
      (literal === undefined ? null : find(literal, depth + 1, search)) ??
      // An empty segment ("//", a trailing slash) is no value.
      (node.one === null || search.segments[depth] === "" ? null : find(node.one, depth + 1, search));
    if (found !== null) return found;
  }
  return node.any === null ? null : endAt(node.any, search);
}

function endAt<T>(node: Node<T>, search: Search): RestRoute<T> | null {
  const methods = node.ends?.get(search.verb);
  if (methods === undefined) return null;
  const route =
    methods.get(search.httpMethod) ??
    (search.httpMethod === "HEAD" ? methods.get("GET") : undefined) ??
    methods.get("*");
  if (route !== undefined) return route;
  for (const method of methods.keys()) search.allowed.add(method);
  return null;
}

/** Null when a segment that a variable needs is malformed. */
function readVariables(
  binding: HttpBinding,
  segments: readonly string[],
  decoded: readonly (string | undefined)[],
): string[] | null {
  const { template } = binding;
  const values: string[] = [];
  for (const { start, end, multi } of template.variables) {
    if (!multi) {
      const value = decoded[start];
      if (value === undefined) return null;
      values.push(value);
      continue;
    }
    const open = template.segments[end - 1].kind === "any";
    const parts = segments.slice(start, open ? segments.length : end).map((segment) => decodeUrlPart(segment, true));
    if (parts.includes(undefined)) return null;
    values.push(parts.join("/"));
  }
  return values;
}
