import { fieldOf } from "../../core/fields.ts";
import type { CallRequest, LocalResponse } from "../call.ts";
import { errorAnswer } from "../error-answer.ts";
import type { CORSFilter } from "../resource/resources.ts";

/**
 * A rule's CORS filter (Gateway API HTTPCORSFilter; Fetch standard, "CORS protocol"), compiled. The gateway answers preflights; what a backend says about
 * CORS is replaced.
 *
 *     preflight   OPTIONS with Origin and Access-Control-Request-Method: 204 with what is allowed, or 403 for an origin that is not
 *     answers     of an allowed origin get Access-Control-Allow-Origin and, where configured, -Credentials and -Expose-Headers;
 *                 what depends on the origin says so with Vary: Origin, also to requests without one (Fetch, "CORS protocol and HTTP caches")
 */
export class Cors {
  /** As it was written. */
  readonly filter: CORSFilter;
  readonly #any: boolean;
  readonly #origins: ReadonlySet<string>;
  readonly #wildcards: readonly { readonly before: string; readonly after: string }[];
  readonly #credentials: boolean;
  readonly #methods: readonly string[];
  readonly #headers: readonly string[];
  /** "" for none. */
  readonly #expose: string;
  readonly #maxAge: string;

  constructor(filter: CORSFilter) {
    this.filter = filter;
    const { allowOrigins = [], allowCredentials = false, exposeHeaders = [] } = filter;
    this.#any = allowOrigins.includes("*");
    const origins = allowOrigins.filter((origin) => origin !== "*").map(normalOrigin);
    this.#origins = new Set(origins.filter((origin) => !origin.includes("*")));
    this.#wildcards = origins
      .filter((origin) => origin.includes("*"))
      .map((origin) => {
        const at = origin.indexOf("*");
        return { before: origin.slice(0, at), after: origin.slice(at + 1) };
      });
    this.#credentials = allowCredentials;
    this.#methods = filter.allowMethods ?? [];
    this.#headers = (filter.allowHeaders ?? []).map((name) => name.toLowerCase());
    // With credentials "*" would be the name of a field (Fetch, "Access-Control-Expose-Headers").
    const exposed = allowCredentials ? exposeHeaders.filter((name) => name !== "*") : exposeHeaders;
    this.#expose = exposed.join(", ");
    this.#maxAge = String(filter.maxAge ?? DEFAULT_MAX_AGE);
  }

  /** Whether answers are the same for all origins. */
  get #alike(): boolean {
    return this.#any && !this.#credentials;
  }

  allows(origin: string): boolean {
    if (this.#any) return true;
    if (origin.length > MAX_ORIGIN) return false;
    const normal = normalOrigin(origin);
    if (this.#origins.has(normal)) return true;
    return this.#wildcards.some(
      ({ before, after }) =>
        normal.length > before.length + after.length &&
        normal.startsWith(before) &&
        normal.endsWith(after) &&
        HOST.test(normal.slice(before.length, normal.length - after.length)),
    );
  }

  /** The answer to a preflight. */
  preflight(request: CallRequest): LocalResponse {
    const origin = fieldOf(request.fields, "origin") ?? "";
    if (!this.allows(origin)) {
      const message = `cross-origin requests from ${shown(origin)} are not allowed here`;
      return errorAnswer("permission_denied", 403, "CORS_ORIGIN", message, false, ["vary", "origin"]);
    }
    const fields = ["access-control-allow-origin", this.#alike ? "*" : origin];
    if (this.#credentials) fields.push("access-control-allow-credentials", "true");
    const method = fieldOf(request.fields, "access-control-request-method") ?? "";
    const headers = fieldOf(request.fields, "access-control-request-headers") ?? "";
    push(fields, "access-control-allow-methods", this.#list(this.#methods, method));
    // "*" is not understood to include this one (Fetch, "CORS non-wildcard request-header name").
    const named = this.#headers.includes("*") && /\bauthorization\b/i.test(headers);
    push(fields, "access-control-allow-headers", named ? headers : this.#list(this.#headers, headers));
    fields.push("access-control-max-age", this.#maxAge);
    if (!this.#alike) {
      fields.push("vary", "origin, access-control-request-method, access-control-request-headers");
    }
    return { error: null, status: 204, fields, body: null };
  }

  /** Fields of the answer to what is no preflight. `origin` is "" when the request names none. */
  answerFields(origin: string): readonly string[] {
    const fields: string[] = [];
    if (origin !== "" && this.allows(origin)) {
      fields.push("access-control-allow-origin", this.#alike ? "*" : origin);
      if (this.#credentials) fields.push("access-control-allow-credentials", "true");
      push(fields, "access-control-expose-headers", this.#expose);
    }
    if (!this.#alike) fields.push("vary", "origin");
    return fields;
  }

  /** With credentials a "*" would be the name of a method or field, so what was asked for is said back. */
  #list(allowed: readonly string[], asked: string): string {
    if (!allowed.includes("*")) return allowed.join(", ");
    return this.#credentials ? asked : "*";
  }
}

export function isPreflight({ method, fields }: CallRequest): boolean {
  return (
    method === "OPTIONS" &&
    Boolean(fieldOf(fields, "origin")) &&
    Boolean(fieldOf(fields, "access-control-request-method"))
  );
}

/** What a backend may not say itself where the rule has a CORS filter. */
export const CORS_FIELDS: readonly string[] = [
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers",
];

/** Gateway API: seconds, when nothing is said. */
const DEFAULT_MAX_AGE = 5;
const MAX_ORIGIN = 512;
/** What a "*" may stand for: labels of a host, to the left. */
const HOST = /^[a-z0-9.-]+$/;

/** Lower-case, without the scheme's own port: "https://shop.example:443" is "https://shop.example". */
function normalOrigin(origin: string): string {
  const lower = origin.toLowerCase();
  if (lower.startsWith("https://") && lower.endsWith(":443")) return lower.slice(0, -4);
  if (lower.startsWith("http://") && lower.endsWith(":80")) return lower.slice(0, -3);
  return lower;
}

/** An origin is the caller's word: only what looks like one is repeated. */
function shown(origin: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]+$/i.test(origin) && origin.length <= 100 ? origin : "this origin";
}

function push(fields: string[], name: string, value: string): void {
  if (value !== "") fields.push(name, value);
}
