import type { Endpoint, Health } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { EventQueue } from "./event-queue.ts";
import { assertModelFields } from "./known-fields.ts";
import { Replica, type Serve } from "./replica.ts";
import type { Seeds } from "./seeds.ts";
import type { ServiceModel } from "./types.ts";

/** What a service's replicas do beyond their model, once for each service; null when the model is all. */
export type ServeOf = (service: string, model: ServiceModel) => Serve | null;

/** The services and their replicas, as they are now. */
export class Topology {
  readonly #events: EventQueue;
  readonly #seeds: Seeds;
  readonly #serveOf: ServeOf;
  readonly #services = new Map<string, SimService>();
  readonly #byId = new Map<string, Replica>();
  /** Told of every change, with what is new and what is gone. */
  onChange: (changed: readonly Endpoint[], removed: readonly Endpoint[]) => void = () => {};

  constructor(events: EventQueue, seeds: Seeds, serveOf: ServeOf) {
    this.#events = events;
    this.#seeds = seeds;
    this.#serveOf = serveOf;
  }

  addService(name: string, model: ServiceModel): void {
    assertModelFields(name, model);
    const service: SimService = { name, number: this.#services.size, model, replicas: [], added: 0 };
    this.#services.set(name, service);
    const versions = Object.entries(model.versions ?? {});
    if (versions.length === 0) versions.push([model.version ?? "", {}]);
    for (const [version, own] of versions) {
      const merged: ServiceModel = { ...model, ...own, version };
      const { replicas = 1 } = merged;
      if (!Number.isInteger(replicas) || replicas < 0 || replicas > MAX_REPLICAS) {
        throw new WeftError(
          "invalid_argument",
          `service ${name}: replicas must be 0 to ${MAX_REPLICAS}, not ${replicas}`,
          {
            reason: "BAD_OPTION",
            place: { field: `${name}.replicas` },
          },
        );
      }
      for (let i = 0; i < replicas; i++) this.#make(service, merged, i);
    }
  }

  get services(): readonly string[] {
    return [...this.#services.keys()];
  }

  model(service: string): ServiceModel {
    return this.#service(service).model;
  }

  all(): IterableIterator<Replica> {
    return this.#byId.values();
  }

  replica(id: string): Replica | null {
    return this.#byId.get(id) ?? null;
  }

  /** "products", "products@v2", "products#2", "products-2". Throws `not_found` when nothing is meant by it. */
  find(target: string): readonly Replica[] {
    const own = this.#byId.get(target);
    if (own !== undefined) return [own];
    const [, name, version, number] = /^([^@#]*)(?:@([^#]*))?(?:#(\d+))?$/.exec(target) ?? [];
    let replicas = name === undefined ? [] : this.#service(name).replicas;
    if (version !== undefined) replicas = replicas.filter(({ endpoint }) => endpoint.version === version);
    if (number !== undefined) replicas = replicas.slice(Number(number) - 1, Number(number));
    if (replicas.length === 0) {
      const known = this.#service(name ?? "").replicas.map(({ id }) => id);
      throw unknown(`"${target}" is no endpoint; there are ${known.join(", ")}`);
    }
    return replicas;
  }

  /** As find, but empty when nothing is left of it. */
  known(target: string): readonly Replica[] {
    try {
      return this.find(target);
    } catch {
      return [];
    }
  }

  add(service: string, model: ServiceModel): Replica {
    const known = this.#service(service);
    const replica = this.#make(known, { ...known.model, ...model }, known.added);
    this.onChange([replica.endpoint], []);
    return replica;
  }

  remove(replica: Replica): void {
    const service = this.#service(replica.endpoint.service);
    service.replicas.splice(service.replicas.indexOf(replica), 1);
    this.#byId.delete(replica.id);
    this.onChange([], [replica.endpoint]);
  }

  setHealth(replica: Replica, health: Health): void {
    replica.endpoint = { ...replica.endpoint, health };
    this.onChange([replica.endpoint], []);
  }

  #make(service: SimService, model: ServiceModel, index: number): Replica {
    const number = ++service.added;
    const endpoint: Endpoint = {
      id: `${service.name}-${number}`,
      service: service.name,
      host: `10.${service.number % 256}.${(number >> 8) % 256}.${number % 256}`,
      port: 9_000,
      version: model.version ?? "",
      zone: at(model.zone, index) ?? "",
      weight: at(model.weight, index) ?? 1,
      protocol: "h2c",
      health: "healthy",
      metadata: model.metadata ?? {},
    };
    const speed = at(model.speed, index) ?? 1;
    const serve = this.#serveOf(service.name, model);
    const replica = new Replica(endpoint, model, speed, this.#events, this.#seeds, serve);
    service.replicas.push(replica);
    this.#byId.set(replica.id, replica);
    return replica;
  }

  #service(name: string): SimService {
    const service = this.#services.get(name);
    if (service === undefined) throw unknown(`there is no service "${name}"${didYouMean(name, this.services)}`);
    return service;
  }
}

interface SimService {
  readonly name: string;
  readonly number: number;
  readonly model: ServiceModel;
  replicas: Replica[];
  /** Ever. */
  added: number;
}

function at<T>(value: T | readonly T[] | undefined, index: number): T | undefined {
  return Array.isArray(value) ? (value as readonly T[])[index % value.length] : (value as T | undefined);
}

function unknown(message: string): WeftError {
  return new WeftError("not_found", message, { reason: "UNKNOWN_TARGET" });
}

const MAX_REPLICAS = 60_000;
