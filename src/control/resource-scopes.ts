import { codecOf } from "../contract/codec.ts";
import { ResourceSetSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { Authentication } from "../policy/security/authentication-resource.ts";
import { findProvider } from "../policy/security/providers.ts";

/** Which contracts services are known to serve. */
export interface KnownContracts {
  all(): readonly { readonly service: string; readonly contracts: readonly string[] }[];
  /** Another whenever any of it is. */
  readonly generation: number;
}

/** The resources that concern a set of services, in the revision's order. */
export interface ResourceScope {
  /** Each resource as JSON: the same string as before where it is as before. */
  readonly texts: readonly string[];
  /** An encoded ResourceSet of them. */
  readonly bytes: Uint8Array;
}

/**
 * Parts of one revision: what each process is sent that uses some services and not others. Calls to these services, and those that they get, are decided by the part as
 * by the whole (resource-scopes.test.ts).
 *
 *     services -> what is attached to them, or to the whole system, or to methods that they may serve
 *              -> their routes (not the gateway's) -> what is attached to those -> the services that they name, and so on
 *              -> stand-ins of fallbacks, and so on; providers of end users' identities that rules name
 *
 * Parts are made when they are first asked for and encoded once, whoever has the same.
 */
export class ResourceScopes {
  readonly revision: number;
  readonly ledger: string;
  readonly #contracts: KnownContracts;
  readonly #texts: readonly string[];
  readonly #resources: readonly Resource[];
  /** Numbers of resources by what they are attached to: "" for the system, "Service orders", "Method counter.v1.Counter", "HTTPRoute/orders". */
  readonly #attached = new Map<string, number[]>();
  readonly #methods: readonly string[];
  readonly #authentications: readonly Authentication[];
  /** Contract to who serves it; and whose contracts are known. As of #generation. */
  readonly #servers = new Map<string, Set<string>>();
  readonly #described = new Set<string>();
  #generation = -1;
  readonly #parts = new Map<string, ResourceScope>();
  readonly #encoded = new Map<string, ResourceScope>();
  #unchanged: Uint8Array | null = null;

  /** `texts`: the resources as JSON. `before`: an earlier revision's, whose strings are gone on with. `ledger`: what the revision counts in. */
  constructor(
    revision: number,
    resources: readonly Resource[],
    texts: readonly string[],
    contracts: KnownContracts,
    before: ResourceScopes | null,
    ledger = "",
  ) {
    this.revision = revision;
    this.ledger = ledger;
    this.#resources = resources;
    this.#contracts = contracts;
    this.#texts = before === null ? texts : before.#same(texts);
    resources.forEach((resource, i) => {
      for (const key of attachmentsOf(resource)) {
        const numbers = this.#attached.get(key);
        if (numbers === undefined) this.#attached.set(key, [i]);
        else if (numbers.at(-1) !== i) numbers.push(i);
      }
    });
    this.#methods = [...this.#attached.keys()].filter((key) => key.startsWith("Method "));
    this.#authentications = resources.filter((resource) => resource.kind === "Authentication");
  }

  /** Whether parts depend on what services serve. */
  get usesContracts(): boolean {
    return this.#methods.length > 0;
  }

  /** An encoded ResourceSet that says: as before, under this revision. */
  get unchanged(): Uint8Array {
    return (this.#unchanged ??= codecOf(ResourceSetSchema).encode({
      revision: BigInt(this.revision),
      unchanged: true,
      ledger: this.ledger,
    }));
  }

  /** The part for these services. `key`: the same for the same services. */
  of(services: Iterable<string>, key: string): ResourceScope {
    if (this.#generation !== this.#contracts.generation) this.#learn();
    let part = this.#parts.get(key);
    if (part === undefined) this.#parts.set(key, (part = this.#encode(this.#concerning(services))));
    return part;
  }

  #learn(): void {
    this.#generation = this.#contracts.generation;
    if (!this.usesContracts) return;
    this.#parts.clear();
    this.#servers.clear();
    this.#described.clear();
    for (const { service, contracts } of this.#contracts.all()) {
      this.#described.add(service);
      for (const contract of contracts) {
        const servers = this.#servers.get(contract);
        if (servers === undefined) this.#servers.set(contract, new Set([service]));
        else servers.add(service);
      }
    }
  }

  #concerning(services: Iterable<string>): number[] {
    const found = new Set<number>();
    const known = new Set<string>();
    const waiting = new Set<string>(services);
    const methods = new Set(this.#methods);
    const attach = (key: string): void => {
      for (const i of this.#attached.get(key) ?? []) {
        if (found.has(i)) continue;
        found.add(i);
        const resource = this.#resources[i];
        for (const service of servicesNamedBy(resource)) if (!known.has(service)) waiting.add(service);
        for (const other of this.#providersNamedBy(resource)) found.add(other);
        attach(`${resource.kind}/${resource.metadata.name}`);
      }
    };
    attach("");
    for (;;) {
      for (const service of waiting) {
        known.add(service);
        attach(`Service ${service}`);
      }
      waiting.clear();
      for (const key of methods) {
        if (!this.#mayServe(known, key.slice("Method ".length))) continue;
        methods.delete(key);
        attach(key);
      }
      if (waiting.size === 0) return [...found].sort((a, b) => a - b);
    }
  }

  /** Unless it is known that others serve it, and what all of these serve. Health and reflection are served by all, said or not. */
  #mayServe(services: ReadonlySet<string>, contract: string): boolean {
    const servers = this.#servers.get(contract);
    if (servers === undefined || contract.startsWith("grpc.")) return true;
    for (const service of services) if (servers.has(service) || !this.#described.has(service)) return true;
    return false;
  }

  *#providersNamedBy(resource: Resource): Generator<number> {
    const labels =
      resource.kind === "Authentication"
        ? resource.spec.providers.map(({ use }) => use)
        : resource.kind === "Authorization"
          ? (resource.spec.rules ?? []).flatMap(({ authenticatedBy = [] }) => authenticatedBy)
          : [];
    for (const label of labels) {
      if (label === undefined || label === "*") continue;
      const provider = findProvider(label, this.#authentications);
      if (provider !== null) yield this.#resources.indexOf(provider.resource);
    }
  }

  #encode(numbers: readonly number[]): ResourceScope {
    const key = numbers.join();
    let part = this.#encoded.get(key);
    if (part === undefined) {
      const texts = numbers.map((i) => this.#texts[i]);
      const json = `[${texts.join(",")}]`;
      const bytes = codecOf(ResourceSetSchema).encode({ revision: BigInt(this.revision), json, ledger: this.ledger });
      this.#encoded.set(key, (part = { texts, bytes }));
    }
    return part;
  }

  /** So that what did not change is found to be the same without a look at it, and is held once. */
  #same(texts: readonly string[]): readonly string[] {
    const own = new Map(this.#texts.map((text) => [text, text]));
    return texts.map((text) => own.get(text) ?? text);
  }
}

/** Whether two parts say the same. */
export function sameScope(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

/** Keys of what a resource is attached to; none for what is the gateway's alone. */
function attachmentsOf(resource: Resource): string[] {
  const { spec } = resource;
  if ("rules" in spec && resource.kind.endsWith("Route")) {
    const { parentRefs = [] } = spec as RouteLike;
    return parentRefs.filter(({ kind }) => kind === "Service").map(({ name }) => `Service ${name}`);
  }
  const { targetRefs = [] } = spec as TargetLike;
  if (targetRefs.length === 0) return [""];
  return targetRefs.flatMap(({ kind, name = "" }) => {
    switch (kind) {
      case "System":
        return [""];
      case "Gateway":
        return [];
      case "Service":
        return [`Service ${name.split("@", 1)[0]}`];
      case "Method":
        return [`Method ${name.replace(/^\//, "").split("/", 1)[0]}`];
      default:
        return [`${kind}/${name}`];
    }
  });
}

/** Services beside those that it is attached to: to which its calls may go. */
export function servicesNamedBy({ kind, spec }: Resource): Set<string> {
  const named = new Set<string>();
  const add = (name: string | undefined): void => {
    if (name !== undefined) named.add(name.split("@", 1)[0]);
  };
  if (kind === "TrafficPolicy") add(spec.fallback?.service);
  if (!kind.endsWith("Route")) return named;
  for (const { backendRefs = [], filters = [] } of (spec as RouteLike).rules) {
    for (const { name } of backendRefs) add(name);
    for (const { requestMirror } of filters) add(requestMirror?.backendRef.name);
  }
  return named;
}

/** What routes of every kind have. */
interface RouteLike {
  readonly parentRefs?: readonly { readonly kind?: string; readonly name: string }[];
  readonly rules: readonly {
    readonly backendRefs?: readonly { readonly name: string }[];
    readonly filters?: readonly { readonly requestMirror?: { readonly backendRef: { readonly name: string } } }[];
  }[];
}

/** What all other kinds have. */
interface TargetLike {
  readonly targetRefs?: readonly { readonly kind: string; readonly name?: string }[];
}
