import type { Endpoint } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { networkOf } from "../../core/network-of.ts";
import type { Registry } from "../../registry/registry.ts";
import { isLoopback } from "../plain-text.ts";
import type { ConsulView, Watched } from "./consul-view.ts";
import { parseGoDuration } from "./go-duration.ts";
import { bad, unsupported } from "./refusal.ts";
import type { ConsulAnswer, ConsulRequest } from "./router.ts";

/** What holds for every query: which parameters there are, how long it waits, and how sure its answer is. */
export class Queries {
  readonly #registry: Registry;
  readonly #view: ConsulView;
  readonly #datacenter: string;

  constructor(registry: Registry, view: ConsulView, datacenter: string) {
    this.#registry = registry;
    this.#view = view;
    this.#datacenter = datacenter;
  }

  /**
   * Answers at once, or with `?index` when something has changed since; `more`: parameters that this query has. `answer` gets the service's endpoints where they were
   * confirmed (`?consistent`, or a registry whose mode it is, unless `?stale`); null: what is known. Rejects `unavailable` when they cannot be.
   */
  async blocking(
    request: ConsulRequest,
    of: Watched,
    answer: (confirmed: readonly Endpoint[] | null) => unknown,
    more: readonly string[] = [],
  ): Promise<ConsulAnswer> {
    const { query } = request;
    this.check(query, more);
    const known = indexOf(query.get("index"));
    const waitMs = waitOf(query.get("wait"));
    const source = isLoopback(request.peerAddress) ? "" : networkOf(request.peerAddress);
    if (known > 0) await this.#view.wait(of, known, waitMs, request.onGone, source);
    const mustConfirm = query.has("consistent") || (this.#registry.mode === "consistent" && !query.has("stale"));
    if (!mustConfirm) {
      const { staleMs } = this.#registry.mode === "available" ? await this.#registry.query([]) : { staleMs: 0 };
      return { json: answer(null), index: this.#view.indexOf(of), staleMs };
    }
    const { endpoints, staleMs } = await this.#registry.query([of.kind === "service" ? of.service : "*"]);
    if (staleMs > 0) {
      const message = `what is known is ${Math.round(staleMs)} ms old and cannot be confirmed now; ask with ?stale for it`;
      throw new WeftError("unavailable", message, { reason: "NOT_CONFIRMED" });
    }
    return {
      json: answer(inOrder(endpoints)),
      index: this.#view.indexOf(of),
      staleMs: 0,
    };
  }

  /** Throws for parameters that would not act. */
  check(query: URLSearchParams, more: readonly string[] = []): void {
    for (const [name, value] of query) {
      if (more.includes(name) || ALWAYS.has(name)) continue;
      if (name === "dc") {
        if (value === "" || value === this.#datacenter) continue;
        throw bad(
          `no path to datacenter ${JSON.stringify(value.slice(0, 64))}; this is ${JSON.stringify(this.#datacenter)}`,
          "dc",
        );
      }
      if (name === "ns" || name === "partition") {
        if (value === "" || value === "default") continue;
        throw unsupported(name, "there is one namespace");
      }
      if (name === "filter") throw unsupported("filter", "filter what comes, or ask with ?tag= and ?passing");
      throw unsupported(name.slice(0, 40), `parameters are ${[...more, ...ALWAYS, "dc"].join(", ")}`);
    }
    if (query.has("stale") && query.has("consistent")) throw bad("stale and consistent exclude each other");
  }
}

/** A flag of a query: there, and not "false". */
export function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === "false" || value === "0") return false;
  if (value === "" || value === "true" || value === "1") return true;
  throw bad(`must be true or false`, name);
}

function inOrder(endpoints: readonly Endpoint[]): Endpoint[] {
  return [...endpoints].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function indexOf(text: string | null): number {
  if (text === null || text === "") return 0;
  if (!/^\d{1,19}$/.test(text)) throw bad("must be a whole number: the X-Consul-Index of an answer", "index");
  return Number(text);
}

function waitOf(text: string | null): number {
  if (text === null || text === "") return DEFAULT_WAIT_MS;
  const ms = /^\d+$/.test(text) ? Number(text) / 1e6 : parseGoDuration(text);
  if (ms === null) throw bad("must be a duration such as 30s or 5m", "wait");
  return ms === 0 ? DEFAULT_WAIT_MS : Math.min(ms, MAX_WAIT_MS);
}

/** What every query may have: how fresh (everything is answered from what is known, and says how old that is), how it looks, who asks. `cached`: everything is. */
const ALWAYS: ReadonlySet<string> = new Set(["index", "wait", "stale", "consistent", "cached", "pretty", "token"]);
const DEFAULT_WAIT_MS = 300_000;
const MAX_WAIT_MS = 600_000;
