import type { Clock } from "../../core/clock.ts";
import type { Health } from "../../core/endpoint.ts";
import { toWeftError, type WeftError } from "../../core/errors.ts";
import { type EndpointEntry, visibleOf } from "../../registry/endpoint-value.ts";
import type { ConsulClient } from "./consul-client.ts";
import { objectOf } from "./kv-space.ts";

export interface AgentServicesOptions {
  client: ConsulClient;
  clock: Clock;
  system: string;
  plane: string;
  /** Whether that control plane is known to be dead. */
  isDead: (plane: string) => boolean;
  /** What Consul refuses, once until it takes something again. */
  onRefused: (error: WeftError) => void;
}

/**
 * Shows this plane's endpoints to Consul's own clients: services of the agent, each with two checks.
 *
 *     weft-control@SYSTEM.PLANE   TTL check, which is passed every 2 s: the one heartbeat there is
 *          ^ alias checks: when the control plane dies, Consul shows all of its services critical (and takes them away a minute later)
 *     ID@SYSTEM.PLANE             and a check that is what weft knows of the endpoint's health
 *
 * What is shown follows what is kept in Consul's store; nobody of weft reads it. An agent that lost it is given it again.
 */
export class AgentServices {
  readonly #options: AgentServicesOptions;
  readonly #planeId: string;
  #wanted = new Map<string, Shown>();
  /** What the agent has been given. */
  readonly #shown = new Map<string, Shown>();
  #working = false;
  #again = false;
  #retryAt = Number.NEGATIVE_INFINITY;
  #nextCheck = 0;
  #refused = false;
  #closed = false;

  constructor(options: AgentServicesOptions) {
    this.#options = options;
    this.#planeId = `weft-control@${options.system}.${short(options.plane)}`;
  }

  /** Registers the control plane itself. Rejects as the client does. */
  async start(): Promise<void> {
    await this.#registerPlane();
    this.#nextCheck = this.#options.clock.now() + FIRST_CHECK_MS;
    this.#beat();
  }

  /** This plane's entries. */
  show(entries: Iterable<EndpointEntry>): void {
    const wanted = new Map<string, Shown>();
    for (const entry of entries) wanted.set(this.#idOf(entry), this.#shownOf(entry));
    this.#wanted = wanted;
    void this.#work();
  }

  /** What is shown stays, and is critical soon. */
  close(): void {
    this.#closed = true;
  }

  #beat(): void {
    const { client, clock } = this.#options;
    clock.after(BEAT_MS, async () => {
      if (this.#closed) return;
      try {
        const path = `/v1/agent/check/pass/${encodeURIComponent(checkOf(this.#planeId))}`;
        const { status } = await client.request({ method: "PUT", path });
        if (status === 404) {
          // The agent has lost what it had.
          this.#shown.clear();
          await this.#registerPlane();
        }
        if (clock.now() >= this.#nextCheck) await this.#compare();
        await this.#work();
      } catch (thrown) {
        this.#failed(thrown);
      }
      this.#beat();
    });
  }

  async #registerPlane(): Promise<void> {
    const { client, system, plane } = this.#options;
    const check = {
      CheckID: checkOf(this.#planeId),
      Name: "control plane",
      TTL: `${TTL_S}s`,
      Status: "passing",
      ...LAST_RESORT,
    };
    const Meta = { "weft-system": system, "weft-plane": plane };
    const body = { ID: this.#planeId, Name: "weft-control", Tags: [system], Meta, Checks: [check] };
    await client.request({ method: "PUT", path: REGISTER, query: REPLACE, body });
  }

  /** Gives the agent what it does not have, and takes away what is not wanted any more. */
  async #work(): Promise<void> {
    const { clock } = this.#options;
    if (this.#working || clock.now() < this.#retryAt) {
      this.#again = true;
      return;
    }
    this.#working = true;
    try {
      do {
        this.#again = false;
        const work: (() => Promise<void>)[] = [];
        for (const [id, wanted] of this.#wanted) {
          const shown = this.#shown.get(id);
          if (shown?.service !== wanted.service || shown.health !== wanted.health)
            work.push(() => this.#give(id, wanted));
        }
        for (const id of this.#shown.keys()) {
          if (!this.#wanted.has(id)) work.push(() => this.#deregister(id));
        }
        await Promise.all(
          Array.from({ length: AT_ONCE }, async () => {
            for (let one = work.pop(); one !== undefined && !this.#closed; one = work.pop()) await one();
          }),
        );
        if (work.length === 0) this.#refused = false;
      } while (this.#again && !this.#closed);
    } catch (thrown) {
      this.#failed(thrown);
    } finally {
      this.#working = false;
    }
  }

  async #give(id: string, wanted: Shown): Promise<void> {
    const { client } = this.#options;
    const shown = this.#shown.get(id);
    if (shown?.service !== wanted.service) {
      const body = JSON.parse(wanted.service);
      await client.request({ method: "PUT", path: REGISTER, query: REPLACE, body });
    }
    // A check that the agent has already keeps its state when it is registered again.
    const path = `/v1/agent/check/update/${encodeURIComponent(healthCheckOf(id))}`;
    const body = { Status: wanted.health === "healthy" ? "passing" : "critical", Output: wanted.health };
    const { status } = await client.request({ method: "PUT", path, body });
    if (status === 404) this.#shown.delete(id);
    else this.#shown.set(id, wanted);
  }

  async #deregister(id: string): Promise<void> {
    const path = `/v1/agent/service/deregister/${encodeURIComponent(id)}`;
    await this.#options.client.request({ method: "PUT", path });
    this.#shown.delete(id);
  }

  /** Compares with what the agent says that it has; what planes left there that are dead is taken away, too. */
  async #compare(): Promise<void> {
    const { client, clock, system, plane, isDead } = this.#options;
    this.#nextCheck = clock.now() + CHECK_MS;
    const query = { filter: `Meta["weft-system"] == "${system}"` };
    const { body } = await client.request({ path: "/v1/agent/services", query });
    const there = objectOf(body ?? {});
    if (!(this.#planeId in there)) await this.#registerPlane();
    for (const id of this.#shown.keys()) if (!(id in there)) this.#shown.delete(id);
    for (const [id, service] of Object.entries(there)) {
      const of = objectOf(objectOf(service).Meta)["weft-plane"];
      const left = of === plane ? !this.#wanted.has(id) && id !== this.#planeId : typeof of === "string" && isDead(of);
      if (left) await this.#deregister(id);
    }
  }

  #failed(thrown: unknown): void {
    const error = toWeftError(thrown);
    // Whether Consul is away is told by who follows the store.
    if (this.#closed || error.code === "unavailable") return;
    this.#retryAt = this.#options.clock.now() + RETRY_MS;
    if (this.#refused) return;
    this.#refused = true;
    this.#options.onRefused(error);
  }

  /** "/" would be read as the end of a path. */
  #idOf({ endpoint }: EndpointEntry): string {
    return `${endpoint.id.replaceAll("/", "~")}@${this.#options.system}.${short(this.#options.plane)}`;
  }

  #shownOf(entry: EndpointEntry): Shown {
    const { system, plane } = this.#options;
    const { id, service, host, port, version, zone, weight, protocol, health, metadata } = visibleOf(entry);
    const ID = this.#idOf(entry);
    const tags = ["weft", version, protocol].filter((tag) => tag !== "");
    const own = { "weft-system": system, "weft-plane": plane, "weft-id": id, version, zone, protocol };
    const Meta = Object.fromEntries(
      [...Object.entries(own), ...Object.entries(metadata).filter(([name]) => !(name in own))]
        .filter(([name, value]) => META_NAME.test(name) && value !== "" && value.length <= MAX_META_VALUE)
        .slice(0, MAX_META),
    );
    const state = { CheckID: healthCheckOf(ID), Name: "health, as weft knows it", TTL: NEVER, Status: "critical" };
    const alias = { CheckID: checkOf(ID), Name: "its control plane", AliasService: this.#planeId, Status: "passing" };
    const share = Math.min(65_535, Math.max(1, Math.round(weight)));
    const definition = {
      ID,
      Name: service,
      Address: host,
      Port: port,
      Tags: tags,
      Meta,
      Weights: { Passing: share, Warning: share },
      Checks: [state, { ...alias, ...LAST_RESORT }],
    };
    return { service: JSON.stringify(definition), health };
  }
}

interface Shown {
  /** Its definition, as JSON. */
  readonly service: string;
  readonly health: Health;
}

function short(plane: string): string {
  return plane.slice(0, 8);
}

/** Of these, what others registered has none. */
function checkOf(serviceId: string): string {
  return `weft:${serviceId}`;
}

function healthCheckOf(serviceId: string): string {
  return `${checkOf(serviceId)}:health`;
}

const REGISTER = "/v1/agent/service/register";
const REPLACE = { "replace-existing-checks": "true" };
/** Consul looks twice a minute. */
const LAST_RESORT = { DeregisterCriticalServiceAfter: "1m" };
const BEAT_MS = 2_000;
const TTL_S = 10;
/** A TTL check that only changes when it is told to. */
const NEVER = "87600h";
const FIRST_CHECK_MS = 10_000;
const CHECK_MS = 30_000;
const RETRY_MS = 10_000;
const AT_ONCE = 8;
const META_NAME = /^(?!consul-)[A-Za-z0-9_-]{1,128}$/;
const MAX_META_VALUE = 512;
const MAX_META = 64;
