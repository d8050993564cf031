import { FIELD_NAME, FIELD_VALUE, HOSTNAME, METHODS, PATH } from "../resource/common-shapes.ts";
import type { HeaderModifier } from "../resource/resources.ts";
import { bool, type Check, described, isObject, list, number, object, oneOf, text } from "../resource/shape.ts";

/* The filters of a route's rules and of single backends (Gateway API HTTPRouteFilter, GRPCRouteFilter). */

const header = object({ name: FIELD_NAME, value: FIELD_VALUE }, ["name", "value"]);
/** `host` says to whom a request goes: it is no field among others, in HTTP/2 not even a field, and an Envoy would refuse all its routes for one that changes it. */
const headerModifier = object(
  { set: list(header), add: list(header), remove: list(FIELD_NAME) },
  [],
  (value, path, report) => {
    const { set = [], add = [], remove = [] } = value as Partial<HeaderModifier>;
    const isHost = (name: unknown): boolean => typeof name === "string" && name.toLowerCase() === "host";
    const what = "host is not changed as a field; take the filter URLRewrite, with hostname";
    for (const [field, changes] of Object.entries({ set, add })) {
      if (!Array.isArray(changes)) continue;
      changes.forEach((change, i) => {
        if (isHost(change?.name)) report([...path, field, i, "name"], what);
      });
    }
    if (Array.isArray(remove))
      remove.forEach((name, i) => {
        if (isHost(name)) report([...path, "remove", i], what);
      });
  },
);

const pathModifier = object(
  {
    type: oneOf(["ReplaceFullPath", "ReplacePrefixMatch"]),
    replaceFullPath: PATH,
    replacePrefixMatch: text("a path that begins with /, without ? and #, or empty", /^(\/[^?#\s]*)?$/),
  },
  ["type"],
  (value, path, report) => {
    const fields = value as Record<string, unknown>;
    const [needed, other] =
      fields.type === "ReplaceFullPath"
        ? ["replaceFullPath", "replacePrefixMatch"]
        : ["replacePrefixMatch", "replaceFullPath"];
    if (fields[needed] === undefined) report(path, `"${needed}" is missing`);
    if (fields[other] !== undefined) report([...path, other], `has no effect with type ${String(fields.type)}`);
  },
);

const statusCode: Check = described(
  (value, path, report) => {
    if (![301, 302, 303, 307, 308].includes(value as number)) report(path, "must be 301, 302, 303, 307 or 308");
  },
  () => ({ enum: [301, 302, 303, 307, 308] }),
);

const ORIGIN = text(
  'an origin: "https://shop.example", "https://*.shop.example:8443", or "*"',
  /^(\*|https?:\/\/(\*|(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?)$/,
  512,
);
const orAll = (name: Check): Check =>
  described(
    (value, path, report) => (value === "*" ? undefined : name(value, path, report)),
    () => ({ anyOf: [{ const: "*" }, name.schema ?? {}] }),
  );

const cors = object(
  {
    allowOrigins: list(ORIGIN, 0, 64),
    allowCredentials: bool,
    allowMethods: list(orAll(oneOf(METHODS)), 0, 16),
    allowHeaders: list(orAll(FIELD_NAME), 0, 64),
    exposeHeaders: list(orAll(FIELD_NAME), 0, 64),
    maxAge: number(1, 86_400 * 7, true),
  },
  [],
  (value, path, report) => {
    for (const name of ["allowOrigins", "allowMethods", "allowHeaders"]) {
      const all = (value as Record<string, string[] | undefined>)[name];
      if (all !== undefined && all.length > 1 && all.includes("*"))
        report([...path, name], 'has "*" beside others, which it includes');
    }
  },
);

const fraction = object(
  { numerator: number(0, 1_000_000_000, true), denominator: number(1, 1_000_000_000, true) },
  ["numerator"],
  (value, path, report) => {
    const { numerator, denominator = 100 } = value as { numerator: number; denominator?: number };
    if (numerator > denominator) report([...path, "numerator"], `is more than the denominator, ${denominator}`);
  },
);

const requestMirror = (backendRef: Check): Check =>
  object({ backendRef, percent: number(0, 100, false), fraction }, ["backendRef"], (value, path, report) => {
    const { percent, fraction } = value as { percent?: number; fraction?: unknown };
    if (percent !== undefined && fraction !== undefined) report(path, "has percent and fraction; keep one of them");
  });

type Filters = Readonly<Record<string, readonly [field: string, check: Check]>>;

const HEADERS: Filters = {
  RequestHeaderModifier: ["requestHeaderModifier", headerModifier],
  ResponseHeaderModifier: ["responseHeaderModifier", headerModifier],
};
const grpc = (backendRef: Check): Filters => ({
  ...HEADERS,
  RequestMirror: ["requestMirror", requestMirror(backendRef)],
});
const http = (backendRef: Check): Filters => ({
  ...grpc(backendRef),
  URLRewrite: ["urlRewrite", object({ hostname: HOSTNAME, path: pathModifier })],
  RequestRedirect: [
    "requestRedirect",
    object({
      scheme: oneOf(["http", "https"]),
      hostname: HOSTNAME,
      path: pathModifier,
      port: number(1, 65_535, true),
      statusCode,
    }),
  ],
  CORS: ["cors", cors],
});

/** What is known and not taken, and what to use. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ExtensionRef: "extensions of other gateways have no effect here; weft's own policies attach by targetRefs",
  ExternalAuth: 'use an Authorization policy with an external authorizer (kind "Authorization")',
};

/** One of some filters; the others that there are get a reason. */
function filterOf(filters: Filters, others: Readonly<Record<string, string>>): Check {
  const checks = Object.entries(filters).map(
    ([type, [field, check]]) => [type, filterShape(type, field, check)] as const,
  );
  const byType = new Map(checks);
  const check: Check = (value, path, report) => {
    const type = isObject(value) ? value.type : undefined;
    const known = typeof type === "string" ? byType.get(type) : undefined;
    if (known !== undefined) known(value, path, report);
    else if (typeof type === "string" && Object.hasOwn(others, type))
      report([...path, "type"], `${type} is not supported here; ${others[type]}`);
    else oneOf([...byType.keys()])(type, [...path, "type"], report);
  };
  return described(check, () => ({ anyOf: checks.map(([, { schema = {} }]) => schema) }));
}

function filterShape(type: string, field: string, check: Check): Check {
  return object({ type: oneOf([type]), [field]: check }, ["type", field]);
}

const onTheRule = "put it on the rule; a single backend has header modifiers";
const httpOnly = "it is for HTTPRoutes";

export const httpFilter = (backendRef: Check): Check => filterOf(http(backendRef), ELSEWHERE);
export const grpcFilter = (backendRef: Check): Check =>
  filterOf(grpc(backendRef), { ...ELSEWHERE, URLRewrite: httpOnly, RequestRedirect: httpOnly, CORS: httpOnly });
export const backendFilter: Check = filterOf(HEADERS, {
  ...ELSEWHERE,
  URLRewrite: onTheRule,
  RequestRedirect: onTheRule,
  RequestMirror: onTheRule,
  CORS: onTheRule,
});
