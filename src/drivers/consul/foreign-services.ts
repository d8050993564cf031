import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { BackOff } from "../../link/back-off.ts";
import type { EndpointEntry } from "../../registry/endpoint-backend.ts";
import { isServiceName } from "../../registry/validate.ts";
import type { ConsulClient } from "./consul-client.ts";
import { foreignEntryOf } from "./foreign-endpoint.ts";
import { arrayOf, nextIndex, objectOf } from "./kv-space.ts";

export interface ForeignServicesOptions {
  client: ConsulClient;
  clock: Clock;
  random: Random;
  /** Ids whose entry is another one now, or gone. Not before the first listing. */
  onChange: (ids: readonly string[]) => void;
  /** What was left out, once. */
  onUnusable: (error: WeftError) => void;
}

/**
 * Services that others registered in Consul, of all nodes. However many there are, two blocking queries tell that something has changed: of the catalog, and of the states of checks;
 * then those services are read again that it may be of.
 */
export class ForeignServices {
  /** By id. */
  readonly entries = new Map<string, EndpointEntry>();
  readonly #options: ForeignServicesOptions;
  readonly #idsOf = new Map<string, readonly string[]>();
  readonly #told = new Set<string>();
  #stale = new Set<string>();
  /** Service to what its checks are, as text; "": the nodes' own. */
  #checks = new Map<string, string>();
  #names: readonly string[] = [];
  #reading: Promise<void> | null = null;
  #closed = false;

  constructor(options: ForeignServicesOptions) {
    this.#options = options;
  }

  /** Reads all of it once. Rejects as the client does. */
  async start(): Promise<void> {
    const { client } = this.#options;
    const services = await client.request({ path: SERVICES, query: { filter: SERVICES_FILTER } });
    const checks = await client.request({ path: CHECKS, query: { filter: CHECKS_FILTER } });
    if (services.filtered) this.#tell("filtered", FILTERED);
    this.#takeNames(services.body);
    this.#takeChecks(checks.body);
    await this.#read();
    void this.#follow(SERVICES, SERVICES_FILTER, services.index, (body) => this.#takeNames(body));
    void this.#follow(CHECKS, CHECKS_FILTER, checks.index, (body) => this.#takeChecks(body));
  }

  close(): void {
    this.#closed = true;
  }

  /** Takes every answer of a blocking query. */
  async #follow(path: string, filter: string, from: number, take: (body: unknown) => void): Promise<void> {
    const { client, clock, random } = this.#options;
    const backOff = new BackOff(random, { maxMs: 1_000 });
    let index = from;
    while (!this.#closed) {
      try {
        const query: Record<string, string> = {
          filter,
          ...(index > 0 && { index: String(index), wait: `${WAIT_MS}ms` }),
        };
        const started = clock.now();
        const answer = await client.request({ path, query, timeoutMs: WAIT_MS * 1.0625 + 2_000 });
        backOff.reset();
        if (answer.index !== index || index === 0) {
          take(answer.body);
          await this.#read();
          // Where all change all the time, a tenth of the time is spent on it.
          const took = clock.now() - started;
          if (index !== 0) await this.#pause(Math.min(1_000, 20 + took * 9 * Number(took < WAIT_MS / 2)));
        }
        index = answer.index === 0 ? 0 : nextIndex(index, answer.index);
        if (index === 0) await this.#pause(100);
      } catch {
        index = 0; // the backend says that Consul is away
        await this.#pause(backOff.next());
      }
    }
  }

  #takeNames(body: unknown): void {
    const names = Object.keys(objectOf(body ?? {})).filter((name) => name !== "consul");
    const usable = names.filter(isServiceName);
    for (const name of names) {
      if (!isServiceName(name))
        this.#tell(`name ${name}`, `the service ${show(name)} is left out: its name is no DNS label`);
    }
    for (const name of this.#names) this.#stale.add(name);
    for (const name of usable) this.#stale.add(name);
    this.#names = usable;
  }

  #takeChecks(body: unknown): void {
    const texts = new Map<string, string>();
    for (const given of arrayOf(body)) {
      const { Node, CheckID, ServiceID, ServiceName, Status } = objectOf(given);
      const name = String(ServiceName ?? "");
      texts.set(name, `${texts.get(name) ?? ""}${Node} ${ServiceID} ${CheckID} ${Status}\n`);
    }
    const before = this.#checks;
    this.#checks = texts;
    const changed = (name: string): boolean => texts.get(name) !== before.get(name);
    const some = changed("") ? this.#names : this.#names.filter(changed);
    for (const name of some) this.#stale.add(name);
  }

  /** Reads what may have changed; one reading at a time. */
  async #read(): Promise<void> {
    while (this.#reading !== null) await this.#reading;
    if (this.#stale.size === 0) return;
    const stale = [...this.#stale];
    this.#stale = new Set();
    this.#reading = this.#readAll(stale).finally(() => {
      this.#reading = null;
    });
    await this.#reading;
  }

  async #readAll(names: readonly string[]): Promise<void> {
    const changed: string[] = [];
    const left = [...names];
    const work = async (): Promise<void> => {
      for (let name = left.pop(); name !== undefined && !this.#closed; name = left.pop()) {
        try {
          changed.push(...(await this.#readOne(name)));
        } catch (thrown) {
          this.#stale.add(name);
          for (const other of left) this.#stale.add(other);
          left.length = 0;
          throw thrown;
        }
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } finally {
      if (changed.length > 0 && !this.#closed) this.#options.onChange(changed);
    }
  }

  async #readOne(name: string): Promise<string[]> {
    const { client } = this.#options;
    const gone = !this.#names.includes(name);
    const path = `/v1/health/service/${encodeURIComponent(name)}`;
    const body = gone ? [] : (await client.request({ path, query: { filter: INSTANCES_FILTER } })).body;
    const found = new Map<string, EndpointEntry>();
    for (const given of arrayOf(body)) {
      if (this.entries.size + found.size >= MAX_ENTRIES) {
        this.#tell("many", `more than ${MAX_ENTRIES} instances of services are registered; the others are left out`);
        break;
      }
      try {
        const entry = foreignEntryOf(given);
        found.set(entry.endpoint.id, entry);
      } catch (thrown) {
        const why = toWeftError(thrown).code === "internal" ? (thrown as Error).message : toWeftError(thrown).message;
        const id = show(String(objectOf(objectOf(given).Service ?? {}).ID));
        this.#tell(`${name} ${id}`, `the instance ${id} of the service ${show(name)} is left out: ${why}`);
      }
    }
    const changed: string[] = [];
    const before = this.#idsOf.get(name) ?? [];
    for (const id of before) if (!found.has(id) && this.entries.delete(id)) changed.push(id);
    for (const [id, entry] of found) {
      if (isDeepStrictEqual(this.entries.get(id), entry)) continue;
      this.entries.set(id, entry);
      changed.push(id);
    }
    if (found.size === 0) this.#idsOf.delete(name);
    else this.#idsOf.set(name, [...found.keys()]);
    return changed;
  }

  #tell(once: string, what: string): void {
    if (this.#told.has(once) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(once);
    const { client, onUnusable } = this.#options;
    onUnusable(new WeftError("failed_precondition", `${client.name}: ${what}`, { reason: "CONSUL_SERVICE_LEFT_OUT" }));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(ms, resolve));
  }
}

function show(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text);
}

const SERVICES = "/v1/catalog/services";
const CHECKS = "/v1/health/state/any";
/** What weft shows of itself, proxies and gateways are left out by Consul, so that they cost nothing here. */
const SERVICES_FILTER = 'ServiceKind == "" and "weft-system" not in ServiceMeta';
const INSTANCES_FILTER = 'Service.Kind == "" and "weft-system" not in Service.Meta';
const CHECKS_FILTER = 'CheckID not matches "^weft:"';
const FILTERED =
  "the ACL token may not see all services and nodes (service_prefix and node_prefix, read); what it may see is used";
const WAIT_MS = 2_000;
const AT_ONCE = 16;
const MAX_ENTRIES = 20_000;
const MAX_TOLD = 1_000;
