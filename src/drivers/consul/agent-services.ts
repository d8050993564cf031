import type { Clock } from "../../core/clock.ts";
import type { Health } from "../../core/endpoint.ts";
import { tagsOf } from "../../core/endpoint-tags.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
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
  /** What Consul refuses to show, each thing once. */
  onRefused: (error: WeftError) => void;
}

/**
 * Shows this plane's endpoints to Consul's own clients: services of the agent, each with two checks.
 *
 *     weft-control@SYSTEM.PLANE   TTL check, which is passed every 2 s: the one heartbeat there is
 *          ^ alias checks: when the control plane dies, Consul shows all of its services critical (and takes them away a minute later)
 *     ID@SYSTEM.PLANE             and a check that is what weft knows of the endpoint's health
 *
 * What is shown follows what is kept in Consul's store, as fast as the agent takes it (some 50 a second); nobody of weft reads it. An agent that lost it is given it again.
 */
export class AgentServices {
  readonly #options: AgentServicesOptions;
  readonly #planeId: string;
  #wanted = new Map<string, Shown>();
  /** What the agent has been given. */
  readonly #shown = new Map<string, Shown>();
  #working = false;
  readonly #refusedUntil = new Map<string, number>();
  readonly #told = new Set<string>();
  #nextCheck = 0;
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
    const all = Array.from(entries, (entry) => ({ entry, id: this.#idOf(entry) }));
    if (all.length > MAX_SHOWN) {
      // Those stay that are there.
      all.sort((a, b) => Number(this.#shown.has(b.id)) - Number(this.#shown.has(a.id)));
      this.#tellRefused(tooMany(this.#options.client.name));
    }
    for (const { entry, id } of all.slice(0, MAX_SHOWN)) wanted.set(id, this.#shownOf(entry));
    this.#wanted = wanted;
    for (const id of this.#refusedUntil.keys())
      if (!wanted.has(id) && !this.#shown.has(id)) this.#refusedUntil.delete(id);
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
        void this.#work();
      } catch (thrown) {
        const error = toWeftError(thrown);
        if (error.code !== "unavailable") this.#tellRefused(error);
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

  /** Gives the agent what it does not have, and takes away what is not wanted any more: one after the other, as it is slower with several at once. */
  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    try {
      for (let id = this.#next(); id !== null && !this.#closed; id = this.#next()) {
        try {
          const wanted = this.#wanted.get(id);
          await (wanted === undefined ? this.#deregister(id) : this.#give(id, wanted));
        } catch (thrown) {
          const error = toWeftError(thrown);
          // Whether Consul is away is told by who follows the store; the next beat goes on with it.
          if (error.code === "unavailable") return;
          this.#refusedUntil.set(id, this.#options.clock.now() + RETRY_MS);
          this.#tellRefused(error);
        }
      }
    } finally {
      this.#working = false;
    }
  }

  /** First what is to leave, then what has changed, then what is new. */
  #next(): string | null {
    const now = this.#options.clock.now();
    const isRefused = (id: string): boolean => (this.#refusedUntil.get(id) ?? now) > now;
    for (const id of this.#shown.keys()) if (!this.#wanted.has(id) && !isRefused(id)) return id;
    let missing: string | null = null;
    for (const [id, wanted] of this.#wanted) {
      const shown = this.#shown.get(id);
      if (shown?.service === wanted.service && shown.health === wanted.health) continue;
      if (isRefused(id)) continue;
      if (shown !== undefined) return id;
      missing ??= id;
    }
    return missing;
  }

  async #give(id: string, wanted: Shown): Promise<void> {
    const { client } = this.#options;
    const shown = this.#shown.get(id);
    if (shown?.service !== wanted.service) {
      const body = JSON.parse(wanted.service);
      await client.request({ method: "PUT", path: REGISTER, query: REPLACE, body, timeoutMs: SLOW_MS });
    }
    // A check that the agent has already keeps its state when it is registered again.
    const path = `/v1/agent/check/update/${encodeURIComponent(healthCheckOf(id))}`;
    const body = { Status: wanted.health === "healthy" ? "passing" : "critical", Output: wanted.health };
    const { status } = await client.request({ method: "PUT", path, body, timeoutMs: SLOW_MS });
    this.#refusedUntil.delete(id);
    if (status === 200) this.#shown.set(id, wanted);
    else {
      this.#shown.delete(id);
      throw new WeftError("unavailable", "the agent has lost what it was given", { reason: "CONSUL_LOST_SERVICE" });
    }
  }

  async #deregister(id: string): Promise<void> {
    const path = `/v1/agent/service/deregister/${encodeURIComponent(id)}`;
    await this.#options.client.request({ method: "PUT", path, timeoutMs: SLOW_MS });
    this.#shown.delete(id);
    this.#refusedUntil.delete(id);
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

  #tellRefused(error: WeftError): void {
    if (this.#told.has(error.message) || this.#told.size >= MAX_TOLD || this.#closed) return;
    this.#told.add(error.message);
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
    const tags = [...new Set(["weft", version, protocol, ...tagsOf({ metadata })])].filter((tag) => tag !== "");
    // Tags are no part of it.
    const own = { "weft-system": system, "weft-plane": plane, "weft-id": id, version, zone, protocol, tags: "" };
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

function tooMany(name: string): WeftError {
  const text = `${name} is shown ${MAX_SHOWN} endpoints of this control plane, and not the others: an agent is slow with more. Weft itself sees them all`;
  return new WeftError("resource_exhausted", text, { reason: "NOT_ALL_SHOWN" });
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
/** An agent with many services takes its time. */
const SLOW_MS = 10_000;
const MAX_TOLD = 100;
/** An agent compares all of its services at each change: with thousands it keeps Consul from its work. */
const MAX_SHOWN = 1_000;
const META_NAME = /^(?!consul-)[A-Za-z0-9_-]{1,128}$/;
const MAX_META_VALUE = 512;
const MAX_META = 64;
