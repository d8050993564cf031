import { type Cancel, type Clock, systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import type {
  ConsistencyMode,
  EndpointDelta,
  EndpointList,
  HealthSource,
  Lease,
  Registry,
  Watch,
} from "../../registry/registry.ts";
import { registryClosed } from "../../registry/registry-errors.ts";
import { assertEndpoint, assertTtl, isServiceName } from "../../registry/validate.ts";
import { MemoryRegistry } from "../memory/memory-registry.ts";
import { type DnsTarget, parseDnsUrl } from "./dns-url.ts";
import { DnsResolver, type ResolverOptions } from "./resolver.ts";
import { lookUpService, type ServiceNames } from "./service-lookup.ts";

export interface DnsRegistryOptions extends Pick<ResolverOptions, "timeoutMs" | "exchange"> {
  /** "dns://HOST:PORT/DOMAIN?services=a,b": dns-url.ts. */
  url: string;
  /** Not used: a domain is one system's. */
  system?: string;
  /** Only "available": an answer of DNS may be old, and says so by its TTL alone. */
  mode?: ConsistencyMode;
  clock?: Clock;
  random?: Random;
  /** How long a server is waited for at the start, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** Told once when names cannot be looked up any more. Default: nobody. */
  onError?: (error: WeftError) => void;
  /** Told when all can again. */
  onRecovered?: () => void;
}

/** Opens a registry of what DNS names. Rejects `invalid_argument` for a bad url, `unavailable` when no server answers in time. */
export async function openDnsRegistry(options: DnsRegistryOptions): Promise<Registry> {
  const target = parseDnsUrl(options.url);
  if (options.mode === "consistent") {
    const message =
      "DNS keeps answers for as long as their TTL, so nobody can say that they are true now: its mode is available";
    throw new WeftError("invalid_argument", message, { reason: "MODE_NOT_SUPPORTED", place: { field: "mode" } });
  }
  return openOrClose(new DnsRegistry(target, options), (registry) => registry.start(options.openTimeoutMs ?? 10_000));
}

/**
 * Follows names: each is looked up again when its TTL is over, and what has changed is told. Read-only: who is there is said in the zone.
 *
 *     asked for --first look--> known --TTL--> looked up: the endpoints that are named, as long as they are named
 *                                 ^               |
 *                                 '---------------+-- no server answers: what was known stays (staleMs), again soon
 *
 * D1 a name is never looked up more often than once a second, nor less often than every `refresh`, failures aside;  D2 while no server answers nothing leaves;
 * D3 endpoints of a higher priority number are there only while none of the lower ones is healthy (RFC 2782).
 */
class DnsRegistry implements Registry {
  readonly mode = "available";
  readonly #target: DnsTarget;
  readonly #resolver: DnsResolver;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onError: (error: WeftError) => void;
  readonly #onRecovered: () => void;
  readonly #registry: MemoryRegistry;
  readonly #names = new Map<string, Followed>();
  readonly #waiting: (() => void)[] = [];
  #looking = 0;
  #failing = 0;
  #closed = false;

  constructor(target: DnsTarget, options: DnsRegistryOptions) {
    this.#target = target;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#onError = options.onError ?? ignore;
    this.#onRecovered = options.onRecovered ?? ignore;
    this.#registry = new MemoryRegistry({ clock: this.#clock });
    const { timeoutMs, exchange } = options;
    this.#resolver = new DnsResolver({
      servers: target.servers,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(exchange && { exchange }),
    });
  }

  /** Resolves when the listed services were looked up. */
  async start(timeoutMs: number): Promise<void> {
    const { services } = this.#target;
    if (services.length === 0) return;
    const followed = services.map((name) => this.#follow(name, true));
    const until = this.#clock.now() + timeoutMs;
    for (;;) {
      await Promise.race(followed.map(({ looked }) => looked()));
      if (followed.some(({ lastMs }) => lastMs !== null)) break;
      if (this.#clock.now() >= until)
        throw followed[0].error ?? new WeftError("unavailable", "no DNS server answers", { reason: "DNS_AWAY" });
    }
    await Promise.all(
      followed.map(({ looked, lastMs, error }) => (lastMs === null && error === null ? looked() : null)),
    );
  }

  register(endpoint: Endpoint, ttlMs: number): Promise<Lease> {
    return this.#refuse(() => {
      assertEndpoint(endpoint);
      assertTtl(ttlMs);
      const message = `endpoints of this registry are what DNS names below ${this.#target.domain}: "${endpoint.id}" is added where that zone is kept, or registered in a registry that takes registrations (weft control without --registry, or with etcd://, consul://, zookeeper://)`;
      throw new WeftError("failed_precondition", message, { reason: "READ_ONLY" });
    });
  }

  async query(services: readonly string[]): Promise<EndpointList> {
    this.#assertOpen();
    await this.#known(services);
    const { endpointVersion, endpoints } = await this.#registry.query(services);
    return { endpointVersion, staleMs: this.#staleMs(), endpoints };
  }

  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch {
    this.#assertOpen();
    let watch: Watch | null = null;
    let closed = false;
    const followed = services.flatMap((name) => this.#seek(name) ?? []);
    for (const one of followed) one.watches++;
    void this.#known(services).then(() => {
      if (!closed && !this.#closed) watch = this.#registry.watch(services, listener);
    });
    return {
      close: () => {
        if (closed) return;
        closed = true;
        watch?.close();
        for (const one of followed) one.watches--;
      },
    };
  }

  setHealth(id: string, health: Health, reason: string, by?: HealthSource): Promise<void> {
    return this.#registry.setHealth(id, health, reason, by).then(async () => {
      const service = this.#registry.table.get(id)?.service ?? "";
      const followed = this.#names.get(service);
      if (followed !== undefined) await this.#apply(followed);
    });
  }

  /** Names that are asked for from now on: they belong to "*". */
  seek(services: readonly string[]): void {
    if (!this.#closed) for (const name of services) this.#seek(name);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const followed of this.#names.values()) followed.cancel();
    for (const go of this.#waiting.splice(0)) go();
    await this.#registry.close();
  }

  /** Resolves when each of the names was looked for once, whatever came of it. */
  async #known(services: readonly string[]): Promise<void> {
    const names = services.includes("*")
      ? [...this.#names.values()]
      : services.flatMap((name) => this.#seek(name) ?? []);
    await Promise.all(names.map(({ lastMs, error, looked }) => (lastMs === null && error === null ? looked() : null)));
  }

  /** Null for what is no name, or where too many are followed already. */
  #seek(name: string): Followed | null {
    if (!isServiceName(name)) return null;
    const known = this.#names.get(name);
    if (known !== undefined) {
      known.askedMs = this.#clock.now();
      return known;
    }
    if (this.#names.size >= MAX_NAMES) this.#forgetUnused();
    return this.#names.size >= MAX_NAMES ? null : this.#follow(name, false);
  }

  #follow(service: string, listed: boolean): Followed {
    let tell: (() => void)[] = [];
    const now = this.#clock.now();
    const followed: Followed = {
      service,
      listed,
      watches: 0,
      askedMs: now,
      sinceMs: now,
      lastMs: null,
      error: null,
      failures: 0,
      names: { endpoints: [], ttl: 0 },
      tokens: new Map(),
      cancel: ignore,
      looked: () => new Promise((resolve) => void tell.push(resolve)),
      tellLooked() {
        const waiting = tell;
        tell = [];
        for (const resolve of waiting) resolve();
      },
    };
    this.#names.set(service, followed);
    void this.#look(followed);
    return followed;
  }

  async #look(followed: Followed): Promise<void> {
    if (this.#looking >= MAX_LOOKING) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    if (this.#closed) return followed.tellLooked();
    this.#looking++;
    let found: ServiceNames | null = null;
    let error: WeftError | null = null;
    try {
      found = await lookUpService(followed.service, this.#target, this.#resolver);
    } catch (thrown) {
      error = toWeftError(thrown);
    }
    this.#looking--;
    this.#waiting.shift()?.();
    if (this.#closed) return followed.tellLooked();
    if (found !== null) await this.#found(followed, found);
    else if (error !== null) this.#failed(followed, error);
    followed.tellLooked();
  }

  async #found(followed: Followed, names: ServiceNames): Promise<void> {
    const wasFailing = followed.error !== null;
    followed.error = null;
    followed.failures = 0;
    followed.lastMs = this.#clock.now();
    followed.names = names;
    await this.#apply(followed);
    if (wasFailing && --this.#failing === 0) this.#onRecovered();
    const idle = followed.tokens.size === 0 && !followed.listed && followed.watches === 0;
    if (idle && this.#clock.now() - followed.askedMs > UNUSED_MS) return this.#forget(followed);
    const ttlMs = Math.min(Math.max(names.ttl * 1_000, MIN_TTL_MS), this.#target.refreshMs);
    // Never later than the TTL; a little earlier, so that many names spread.
    this.#again(followed, Math.max(MIN_TTL_MS, ttlMs * (0.9 + 0.1 * this.#random.next())));
  }

  #failed(followed: Followed, error: WeftError): void {
    if (followed.error === null && ++this.#failing === 1) this.#onError(error);
    followed.error = error;
    followed.failures++;
    this.#again(
      followed,
      Math.min(MAX_RETRY_MS, 250 * 2 ** Math.min(followed.failures, 4)) * (0.5 + 0.5 * this.#random.next()),
    );
  }

  #again(followed: Followed, delayMs: number): void {
    if (this.#closed || this.#names.get(followed.service) !== followed) return;
    followed.cancel = this.#clock.after(delayMs, () => void this.#look(followed));
  }

  /** Makes the service's endpoints those of the lowest priorities up to the first of which one is well. */
  async #apply({ names, tokens }: Followed): Promise<void> {
    const { table } = this.#registry;
    const wanted = new Map<string, Endpoint>();
    let well = false;
    let priority = -1;
    for (const one of [...names.endpoints].sort((a, b) => a.priority - b.priority)) {
      if (well && one.priority !== priority) break;
      priority = one.priority;
      wanted.set(one.endpoint.id, one.endpoint);
      well ||= table.get(one.endpoint.id)?.health !== "unhealthy";
    }
    let changed = false;
    for (const [id, { token, endpoint }] of tokens) {
      const next = wanted.get(id);
      if (next !== undefined && JSON.stringify(next) === JSON.stringify(endpoint)) {
        wanted.delete(id);
        continue;
      }
      if (next !== undefined) continue; // replaced below
      table.release(id, token, "no longer named by DNS");
      tokens.delete(id);
      changed = true;
    }
    for (const [id, endpoint] of wanted) {
      assertEndpoint(endpoint);
      tokens.set(id, {
        endpoint,
        token: table.register(endpoint, Number.POSITIVE_INFINITY, this.#clock.now(), "named by DNS"),
      });
      changed = true;
    }
    if (changed) await this.#registry.flush();
  }

  #forgetUnused(): void {
    const now = this.#clock.now();
    for (const followed of this.#names.values())
      if (followed.tokens.size === 0 && !followed.listed && followed.watches === 0 && now - followed.askedMs > 1_000)
        this.#forget(followed);
  }

  #forget(followed: Followed): void {
    followed.cancel();
    if (followed.error !== null) this.#failing--;
    this.#names.delete(followed.service);
  }

  #staleMs(): number {
    let oldest = 0;
    const now = this.#clock.now();
    for (const { error, lastMs, sinceMs } of this.#names.values())
      if (error !== null) oldest = Math.max(oldest, now - (lastMs ?? sinceMs));
    return oldest;
  }

  async #refuse(act: () => never): Promise<never> {
    this.#assertOpen();
    return act();
  }

  #assertOpen(): void {
    if (this.#closed) throw registryClosed();
  }
}

/** One name that is looked up again and again. */
interface Followed {
  readonly service: string;
  /** In the url: never forgotten. */
  readonly listed: boolean;
  watches: number;
  askedMs: number;
  readonly sinceMs: number;
  /** When it was looked up last; null: never yet. */
  lastMs: number | null;
  error: WeftError | null;
  failures: number;
  names: ServiceNames;
  readonly tokens: Map<string, { readonly endpoint: Endpoint; readonly token: number }>;
  cancel: Cancel;
  /** Resolves at the end of the next look. */
  looked(): Promise<void>;
  tellLooked(): void;
}

function ignore(): void {}

const MIN_TTL_MS = 1_000;
const MAX_RETRY_MS = 1_000;
const MAX_NAMES = 1_000;
const MAX_LOOKING = 64;
/** A name that nobody watches, and at which there is nothing, is followed for so long after it was asked for. */
const UNUSED_MS = 600_000;
