import { endpointOfMessage, healthOfMessage } from "../contract/endpoint-message.ts";
import type { LoadReport, Register, Release, SetHealth } from "../contract/gen/weft/control/v1/control.ts";
import { tagsOf } from "../core/endpoint-tags.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Lease } from "../registry/registry.ts";
import { assertEndpoint, assertTtl } from "../registry/validate.ts";
import type { Hub } from "./hub.ts";
import { assertMayRegister, type Registrant } from "./registrant.ts";
import type { Session } from "./session.ts";
import type { Subscriber } from "./subscriber.ts";

export interface SessionEndpointsOptions {
  hub: Hub;
  session: Session;
  subscriber: Subscriber;
  /** Who the process has proved to be. */
  registrant: Registrant;
  /** It has an endpoint of this service now. */
  onRegistered: (service: string) => void;
  /** Its endpoints have other tags. */
  onTags: () => void;
  /** One request less is in work. */
  onDone: () => void;
  /** The stream has ended: what is still registered then is nobody's. */
  isOver: () => boolean;
}

/**
 * The endpoints that one attached process has registered. What it asks of one endpoint is carried out in its order; its heartbeats renew all leases, and the end of its stream leaves them alone. Each request is
 * acknowledged, with what was wrong where it was refused.
 */
export class SessionEndpoints {
  readonly #options: SessionEndpointsOptions;
  readonly #leases = new Map<string, Lease>();
  /** Of those endpoints that have some. */
  readonly #tags = new Map<string, readonly string[]>();
  /** The last request of each endpoint. */
  readonly #working = new Map<string, Promise<void>>();
  #inWork = 0;

  constructor(options: SessionEndpointsOptions) {
    this.#options = options;
  }

  /** Requests that are not acknowledged yet. */
  get inWork(): number {
    return this.#inWork;
  }

  ids(): Iterable<string> {
    return this.#leases.keys();
  }

  /** Of all its endpoints. */
  *tags(): Iterable<string> {
    for (const tags of this.#tags.values()) yield* tags;
  }

  register(request: Register): void {
    this.#work(request.endpoint?.id ?? "", request.requestId, () => this.#register(request));
  }

  release({ id, requestId }: Release): void {
    this.#work(id, requestId, async () => {
      const lease = this.#leases.get(id);
      if (lease === undefined) return;
      this.#leases.delete(id);
      this.#tagged(id, []);
      this.#forget(id);
      await lease.release();
    });
  }

  setHealth({ id, requestId, health, reason }: SetHealth): void {
    this.#work(id, requestId, async () => {
      if (!this.#leases.has(id)) {
        const text = `"${id}" is not registered by this process`;
        throw new WeftError("failed_precondition", text, { reason: "NOT_OWNER" });
      }
      await this.#options.hub.registry.setHealth(id, healthOfMessage(health), printable(reason, 256));
    });
  }

  /** Renews all leases; the process is told of those that are over. */
  heartbeat(): void {
    for (const [id, lease] of this.#leases) {
      lease.renew().catch((thrown) => {
        const error = toWeftError(thrown);
        if (error.code !== "not_found" || this.#leases.get(id) !== lease) return; // the registry is away: the next beat tries again
        this.#leases.delete(id);
        this.#tagged(id, []);
        this.#forget(id);
        this.#options.subscriber.lost(id, error.reason);
      });
    }
  }

  /** What it says of the load of its own endpoints. */
  takeLoad({ endpoints }: LoadReport): void {
    for (const load of endpoints) {
      if (!this.#leases.has(load.id)) continue;
      // What is kept of each endpoint is bounded, whatever its process says.
      const { buckets = [], counts = [] } = load.latency ?? {};
      if (buckets.length > MAX_BUCKETS || counts.length > MAX_BUCKETS) load.latency = undefined;
      this.#options.hub.loads.set(load.id, load);
    }
  }

  async #register({ endpoint: message, ttlMs, contracts, descriptors, descriptorsDigest }: Register): Promise<void> {
    const { hub, registrant, session } = this.#options;
    const { registry, limits, defaultTtlMs, contracts: store, owners } = hub;
    if (message === undefined)
      throw new WeftError("invalid_argument", "register: endpoint is missing", { place: { field: "endpoint" } });
    const endpoint = endpointOfMessage(message);
    const ttl = ttlMs === 0 ? defaultTtlMs : ttlMs;
    assertEndpoint(endpoint);
    assertMayRegister(endpoint, {
      system: hub.authority.system,
      mode: hub.mutualTls(endpoint.service),
      before: hub.catalog.endpoint(endpoint.id),
      proves: (name) => registrant.proves(name),
      refusal: registrant.refusal,
    });
    assertTtl(ttl);
    if (!this.#leases.has(endpoint.id) && this.#leases.size >= limits.maxRegistrations) {
      const text = `at most ${limits.maxRegistrations} endpoints of one process are allowed`;
      throw new WeftError("resource_exhausted", text, { reason: "TOO_MANY_REGISTRATIONS" });
    }
    if (contracts.length > limits.maxContracts) {
      const text = `at most ${limits.maxContracts} contracts of one endpoint are allowed`;
      throw new WeftError("resource_exhausted", text, { reason: "TOO_MANY_CONTRACTS" });
    }
    const { service, id: endpointId } = endpoint;
    // At once: a process that comes back asks for its settings in the same breath.
    this.#tagged(endpointId, tagsOf(endpoint));
    let lease: Lease;
    try {
      // Its contract first: who learns of the endpoint can call it.
      if (contracts.length > 0)
        await store.add({ service, endpointId, contracts, descriptors, digest: descriptorsDigest });
      lease = await registry.register(endpoint, ttl);
    } catch (thrown) {
      if (!this.#leases.has(endpointId) && !saysAgain(toWeftError(thrown))) this.#tagged(endpointId, []);
      throw thrown;
    }
    this.#leases.set(endpointId, lease);
    this.#options.onRegistered(service);
    if (!this.#options.isOver()) owners.set(endpointId, session);
  }

  /** Carries a request out after those of the same endpoint that came before it. */
  #work(id: string, requestId: bigint, body: () => Promise<void>): void {
    this.#inWork++;
    const work = this.#carryOut(this.#working.get(id), requestId, body).then(() => {
      if (this.#working.get(id) === work) this.#working.delete(id);
      this.#options.onDone();
    });
    this.#working.set(id, work);
  }

  async #carryOut(before: Promise<void> | undefined, requestId: bigint, body: () => Promise<void>): Promise<void> {
    const { subscriber } = this.#options;
    if (before !== undefined) await before;
    try {
      await body();
      subscriber.acknowledge({ requestId });
    } catch (thrown) {
      subscriber.refuse(requestId, thrown);
    }
    this.#inWork--;
  }

  #tagged(id: string, tags: readonly string[]): void {
    const before = this.#tags.get(id) ?? [];
    if (tags.join("\n") === before.join("\n")) return;
    if (tags.length === 0) this.#tags.delete(id);
    else this.#tags.set(id, tags);
    this.#options.onTags();
  }

  #forget(id: string): void {
    const { hub, session } = this.#options;
    if (hub.owners.get(id) !== session) return;
    hub.owners.delete(id);
    hub.loads.delete(id);
  }
}

/** What a process whose registration is refused so registers again by itself. */
function saysAgain({ code, reason }: WeftError): boolean {
  return code === "unavailable" || reason === "DESCRIPTORS_NEEDED";
}

/** More than a histogram has. */
const MAX_BUCKETS = 128;
