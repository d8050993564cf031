import type { SessionRoute } from "../resource/resources.ts";
import { makeRule, type Rule } from "./rule.ts";
import type { SessionRequest } from "./session-request.ts";

/** One route, as the listeners of the gateway (or one service's sessions) see it. */
export interface SessionEntry {
  readonly kind: SessionRoute["kind"];
  readonly route: SessionRoute;
  /** Listeners that it is for: by name, by port, or both; empty for all of its protocol. */
  readonly listeners: readonly { readonly name?: string; readonly port?: number }[];
  /** Lower-case; ["*"] for any, also none. */
  readonly hostnames: readonly string[];
  readonly rule: Rule;
}

/** The route with its rule; `listeners` as its parents that are gateways say. */
export function sessionEntry(route: SessionRoute): SessionEntry {
  const { kind, metadata, spec } = route;
  const hostnames = kind === "TLSRoute" ? (route.spec.hostnames ?? []) : [];
  const parents = (spec.parentRefs ?? []).filter((parent) => parent.kind !== "Service");
  const bound = parents.filter(({ sectionName, port }) => sectionName !== undefined || port !== undefined);
  const at = bound.map(({ sectionName, port }) => sectionName ?? `:${port}`);
  const what = [hostnames.join(", "), at.join(", ")].filter((part) => part !== "").join(" at ");
  const protocol = kind.slice(0, 3);
  return {
    kind,
    route,
    // One that names no listener is for all.
    listeners: bound.length < parents.length ? [] : bound.map(({ sectionName: name, port }) => ({ name, port })),
    hostnames: hostnames.length === 0 ? ["*"] : hostnames.map((name) => name.toLowerCase()),
    rule: makeRule(`${kind}/${metadata.name}`, 0, what === "" ? protocol : `${protocol} ${what}`, spec.rules[0]),
  };
}

/**
 * Finds the route of a session: of those for its protocol and listener the one with the most specific server name (exact, then the longest wildcard, then any),
 * and of these the first written. A wildcard stands for one label or several, as in the Gateway API.
 */
export class SessionTable {
  readonly #exact = new Map<string, SessionEntry[]>();
  /** Without "*": ".shop.example". */
  readonly #wildcards = new Map<string, SessionEntry[]>();
  readonly #any: SessionEntry[] = [];

  /** In the order in which they count as written. */
  constructor(entries: readonly SessionEntry[]) {
    for (const entry of entries) {
      for (const name of entry.hostnames) {
        if (name === "*") this.#any.push(entry);
        else if (name.startsWith("*.")) add(this.#wildcards, name.slice(1), entry);
        else add(this.#exact, name, entry);
      }
    }
  }

  find(request: SessionRequest): Rule | null {
    const name = request.authority;
    if (name !== "") {
      const exact = first(this.#exact.get(name), request);
      if (exact !== null) return exact;
      for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
        const found = first(this.#wildcards.get(name.slice(dot)), request);
        if (found !== null) return found;
      }
    }
    return first(this.#any, request);
  }
}

/** Whether the entry takes sessions of a listener. */
function isFor({ kind, listeners }: SessionEntry, protocol: string, listener: string, port: number): boolean {
  if (!kind.startsWith(protocol)) return false;
  if (listeners.length === 0) return true;
  return listeners.some(
    (wanted) =>
      (wanted.name === undefined || wanted.name === listener) && (wanted.port === undefined || wanted.port === port),
  );
}

function first(entries: readonly SessionEntry[] | undefined, { method, listener, port }: SessionRequest): Rule | null {
  return entries?.find((entry) => isFor(entry, method, listener, port))?.rule ?? null;
}

function add(table: Map<string, SessionEntry[]>, key: string, entry: SessionEntry): void {
  const known = table.get(key);
  if (known === undefined) table.set(key, [entry]);
  else known.push(entry);
}
