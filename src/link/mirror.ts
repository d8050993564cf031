import { codecOf } from "../contract/codec.ts";
import { endpointOfMessage } from "../contract/endpoint-message.ts";
import {
  type AttachResponse,
  type Method,
  ResourceSetSchema,
  ServiceContractSchema,
  ServiceUpdateSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { KnownResources } from "../policy/resource/known-resources.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { MethodInfo } from "../policy/runtime.ts";
import type { ServiceContract } from "./types.ts";

/**
 * What this process knows of the system, as a machine: the control plane's messages in, what changed by them out. It is what stays in use
 * while the line is down, and what is kept on disk.
 */
export class Mirror {
  /** The control plane's run under which versions were told; "" when unknown. */
  epoch = "";
  revision = 0;
  /** What `revision` counts in; "" when that is unknown. */
  ledger = "";
  resources: readonly Resource[] = [];
  endpointVersion = 0;
  /** What the control plane tells of endpoints may be old: it adds to what is known, and takes away only what it says is removed. */
  behind = false;
  readonly services = new Map<string, MirroredService>();
  readonly contracts = new Map<string, ServiceContract>();
  readonly #known = new KnownResources();

  /** Applies one message and says what the policy runtime has to be told. Throws when a part cannot be decoded. */
  apply(message: AttachResponse): MirrorChange {
    const change = noChange();
    if (message.welcome !== undefined) ({ epoch: this.epoch, behind: this.behind } = message.welcome);
    if (message.caughtUp) this.behind = false;
    for (const bytes of message.services) this.#applyService(bytes, change);
    if (message.resources.byteLength > 0) {
      const set = resourceSets.decode(message.resources, 0, message.resources.byteLength);
      const { json, unchanged } = set;
      this.revision = Number(set.revision);
      this.ledger = set.ledger;
      if (unchanged) change.advanced = true;
      else {
        const read = this.#known.read(json);
        if (read !== null) this.#known.keep(read);
        this.resources = (read?.values ?? JSON.parse(json)) as Resource[];
        change.resources = true;
      }
    }
    for (const bytes of message.contracts) {
      const { service, contracts, descriptors } = serviceContracts.decode(bytes, 0, bytes.byteLength);
      this.contracts.set(service, { service, contracts, descriptors });
      change.contracts = true;
    }
    return change;
  }

  /** Whether something is known of a service, a contract or ("*") anything. */
  has(name: string): boolean {
    if (name === "*") return this.services.size > 0;
    if (this.services.has(name)) return true;
    for (const { contracts } of this.services.values()) if (contracts.includes(name)) return true;
    return false;
  }

  /** The services that a name stands for: itself, those that serve a contract of that name, or (for "*") all. */
  servicesOf(name: string): string[] {
    if (name === "*") return [];
    const services = this.services.has(name) ? [name] : [];
    for (const [service, { contracts }] of this.services) if (contracts.includes(name)) services.push(service);
    return services;
  }

  /** Forgets all other services; answers their endpoints. */
  keepOnly(services: ReadonlySet<string>): { id: string; service: string }[] {
    const removed: { id: string; service: string }[] = [];
    for (const [service, { endpoints }] of this.services) {
      if (services.has(service)) continue;
      for (const id of endpoints.keys()) removed.push({ id, service });
      this.services.delete(service);
    }
    return removed;
  }

  /** Methods of all services, for the policy runtime. */
  methods(): MethodInfo[] {
    const all: MethodInfo[] = [];
    for (const [service, { methods }] of this.services) {
      for (const { path, idempotent, clientStreaming, serverStreaming } of methods) {
        all.push({ path, service, idempotent, clientStreaming, serverStreaming });
      }
    }
    return all;
  }

  /** Every endpoint known. */
  endpoints(): Endpoint[] {
    return Array.from(this.services.values(), ({ endpoints }) => [...endpoints.values()]).flat();
  }

  #applyService(bytes: Uint8Array, change: MirrorChange): void {
    const update = serviceUpdates.decode(bytes, 0, bytes.byteLength);
    const { service: name, full } = update;
    change.touched.push(name);
    let service = this.services.get(name);
    if (service === undefined) {
      service = { version: 0, endpoints: new Map(), contracts: [], methods: [] };
      this.services.set(name, service);
    }
    service.version = Number(update.endpointVersion);
    // Not the largest ever seen: a new control plane may count from the beginning.
    this.endpointVersion = service.version;
    const changed = update.changed.map(endpointOfMessage);
    if (full && !this.behind) {
      const present = new Set(changed.map(({ id }) => id));
      for (const id of service.endpoints.keys()) if (!present.has(id)) remove(service, name, id, change);
    }
    for (const { id } of update.removed) remove(service, name, id, change);
    for (const endpoint of changed) {
      service.endpoints.set(endpoint.id, endpoint);
      change.changed.push(endpoint);
    }
    if (update.methods !== undefined) {
      service.contracts = update.methods.contracts;
      if (!sameMethods(service.methods, update.methods.methods)) change.resources = true;
      service.methods = update.methods.methods;
    }
  }
}

export interface MirroredService {
  version: number;
  readonly endpoints: Map<string, Endpoint>;
  contracts: readonly string[];
  methods: readonly Omit<Method, "$typeName" | "$unknown">[];
}

export interface MirrorChange {
  /** Resources or methods are others. */
  resources: boolean;
  /** The resources are as before, under another revision. */
  advanced: boolean;
  contracts: boolean;
  readonly changed: Endpoint[];
  readonly removed: { id: string; service: string }[];
  /** Services that the message told of. */
  readonly touched: string[];
}

/** What is told of nothing. */
export function noChange(): MirrorChange {
  return { resources: false, advanced: false, contracts: false, changed: [], removed: [], touched: [] };
}

function remove(service: MirroredService, name: string, id: string, change: MirrorChange): void {
  service.endpoints.delete(id);
  change.removed.push({ id, service: name });
}

function sameMethods(a: MirroredService["methods"], b: MirroredService["methods"]): boolean {
  return (
    a.length === b.length &&
    a.every((method, index) => {
      const other = b[index];
      return (
        method.path === other.path &&
        method.idempotent === other.idempotent &&
        method.clientStreaming === other.clientStreaming &&
        method.serverStreaming === other.serverStreaming
      );
    })
  );
}

const serviceUpdates = codecOf(ServiceUpdateSchema);
const resourceSets = codecOf(ResourceSetSchema);
const serviceContracts = codecOf(ServiceContractSchema);
