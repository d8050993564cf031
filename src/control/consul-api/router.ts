import type { WeftError } from "../../core/errors.ts";

/** A request as handlers see it. */
export interface ConsulRequest {
  readonly method: string;
  /** "/v1/health/service/web" */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parts of the path that stand for something, decoded. */
  readonly params: readonly string[];
  /** The body as JSON. Throws `invalid_argument`. */
  json(): unknown;
  /** "" without one. */
  readonly token: string;
  /** Who asks: without port, and with it. */
  readonly peerHost: string;
  readonly peerAddress: string;
  /** Calls `stop` when nobody waits for the answer any more. */
  onGone(stop: () => void): void;
}

export interface ConsulAnswer {
  readonly status?: number;
  /** Sent as JSON; undefined: an empty body. */
  readonly json?: unknown;
  readonly index?: number;
  /** How old what is answered may be, ms. */
  readonly staleMs?: number;
}

export type Handler = (request: ConsulRequest) => ConsulAnswer | Promise<ConsulAnswer>;

/** "GET /v1/health/service/:name" to its handler. `:rest` at the end takes the rest of the path, slashes included. */
export type Routes = Readonly<Record<string, Handler>>;

export interface Found {
  readonly handler: Handler;
  readonly params: readonly string[];
}

/** Finds handlers by method and path: a list that is looked through, for there are thirty. */
export class Router {
  readonly #routes: { readonly method: string; readonly parts: readonly string[]; readonly handler: Handler }[] = [];

  constructor(routes: Routes) {
    for (const [route, handler] of Object.entries(routes)) {
      const [method, path] = route.split(" ", 2);
      this.#routes.push({ method, parts: path.split("/"), handler });
    }
  }

  /** null: nothing is at the path. A list: the methods that are. */
  find(method: string, path: string): Found | readonly string[] | null {
    const asked = path.split("/");
    const methods: string[] = [];
    for (const route of this.#routes) {
      const params = match(route.parts, asked);
      if (params === null) continue;
      if (route.method === method) return { handler: route.handler, params };
      methods.push(route.method);
    }
    return methods.length > 0 ? methods : null;
  }
}

function match(parts: readonly string[], asked: readonly string[]): string[] | null {
  const rest = parts.at(-1) === ":rest";
  if (rest ? asked.length < parts.length : asked.length !== parts.length) return null;
  const params: string[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.startsWith(":")) {
      const value = decoded(rest && i === parts.length - 1 ? asked.slice(i).join("/") : asked[i]);
      if (value === null || value === "") return null;
      params.push(value);
    } else if (part !== asked[i]) return null;
  }
  return params;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** How an error is said: Consul's clients take everything but 200 for one, and show the text. */
export function statusOfError(error: WeftError): number {
  return STATUS[error.code] ?? 500;
}

const STATUS: Partial<Record<WeftError["code"], number>> = {
  invalid_argument: 400,
  failed_precondition: 400,
  already_exists: 409,
  not_found: 404,
  unauthenticated: 403,
  permission_denied: 403,
  resource_exhausted: 429,
  unimplemented: 501,
  unavailable: 503,
  deadline_exceeded: 503,
};
