import { createHash } from "node:crypto";
import { codecOf } from "../contract/codec.ts";
import { parseContractSet } from "../contract/contract-set.ts";
import { type MethodsSchema, ServiceContractSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import type { KeyValue } from "../settings/key-value.ts";
import { ContractKeys, type ListedContract } from "./contract-keys.ts";

/** The contract of a service, as gateways and typed clients need it. Immutable. */
export interface StoredContract {
  readonly service: string;
  /** Full names of gRPC services. */
  readonly contracts: readonly string[];
  readonly digest: string;
  readonly descriptors: Uint8Array;
  readonly methods: MessageInitShape<typeof MethodsSchema>;
  /** An encoded ServiceContract. */
  readonly encoded: Uint8Array;
}

/**
 * Contracts by service, kept with the endpoints that registered them. When endpoints of one service differ (a release in progress), the contract
 * that was first seen last counts, as long as one of its endpoints is there; so an old instance that registers again does not take methods away.
 *
 * Control planes that share a store tell each other which one counts: what another one chose counts here, too, for as long as that one says that somebody uses it.
 */
export class ContractStore {
  readonly #keys: ContractKeys;
  readonly #services = new Map<string, ServiceContracts>();
  readonly #listeners = new Set<(contract: StoredContract) => void>();
  /** Of each service, what was read of the store last. */
  readonly #seen = new Map<string, string>();
  /** What others changed is taken over one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Another whenever the contract that counts for some service is. */
  generation = 0;

  private constructor(keys: ContractKeys) {
    this.#keys = keys;
  }

  static async open(store: KeyValue): Promise<ContractStore> {
    const keys = new ContractKeys(store);
    const contracts = new ContractStore(keys);
    for (const kept of await keys.list()) await contracts.#adopt(kept, true);
    keys.watch(() => contracts.#heard());
    return contracts;
  }

  /** Hears no more of others. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keys.close();
    await this.#last;
  }

  /** Called when the contract that counts for a service is another one. */
  onChange(listener: (contract: StoredContract) => void): void {
    this.#listeners.add(listener);
  }

  all(): StoredContract[] {
    return Array.from(this.#services.values(), ({ current }) => current);
  }

  get(service: string): StoredContract | undefined {
    return this.#services.get(service)?.current;
  }

  /** The services that serve a gRPC service by its full name. */
  servicesOf(contract: string): string[] {
    return this.all()
      .filter(({ contracts }) => contracts.includes(contract))
      .map(({ service }) => service);
  }

  /**
   * Takes over what an endpoint registered with. Throws `invalid_argument` for descriptors that do not fit, `failed_precondition`
   * (DESCRIPTORS_NEEDED) when only the digest was given and is not known.
   */
  async add(registration: ContractRegistration): Promise<void> {
    const { service, endpointId, contracts } = registration;
    if (contracts.length === 0) return;
    let ofService = this.#services.get(service);
    const digest = registration.descriptors.byteLength > 0 ? sha256(registration.descriptors) : registration.digest;
    if (registration.digest !== "" && digest !== registration.digest) {
      throw new WeftError(
        "invalid_argument",
        `the descriptors of ${service} have the digest ${digest}, not ${registration.digest}`,
        {
          reason: "DIGEST_MISMATCH",
          place: { field: "descriptors_digest" },
        },
      );
    }
    const key = keyOf({ digest, contracts });
    let known = ofService?.known.get(key);
    if (known === undefined) {
      if (registration.descriptors.byteLength === 0) {
        throw new WeftError("failed_precondition", `the descriptors of ${service} are not known here; send them`, {
          reason: "DESCRIPTORS_NEEDED",
        });
      }
      const contract = makeContract(service, contracts, digest, Uint8Array.from(registration.descriptors));
      const latest = Math.max(0, ...Array.from(ofService?.known.values() ?? [], ({ order }) => order));
      known = { contract, order: latest + 1 };
      if (ofService === undefined) {
        this.#services.set(service, (ofService = emptyOf(contract)));
        this.#count(ofService, contract);
      }
      ofService.known.set(key, known);
    }
    if (ofService === undefined) return;
    ofService.used.set(endpointId, key);
    await this.#choose(ofService);
  }

  /** The endpoint is gone; what only it used does not count any more. */
  remove(service: string, endpointId: string): void {
    const ofService = this.#services.get(service);
    if (ofService?.used.delete(endpointId)) this.#choose(ofService).catch(ignore); // only its memory on disk failed
  }

  /** Drops the contract of a service that is no more. */
  async forget(service: string): Promise<void> {
    if (!this.#services.delete(service)) return;
    this.generation++;
    await this.#keys.forget(service);
  }

  async #choose(ofService: ServiceContracts): Promise<void> {
    const inUse = new Set(ofService.used.values());
    if (ofService.elsewhere !== null) inUse.add(ofService.elsewhere);
    let best: KnownContract | null = null;
    for (const [key, known] of ofService.known) {
      if (inUse.has(key)) {
        if (best === null || isLater(known, best)) best = known;
      } else if (known.contract !== ofService.current) {
        ofService.known.delete(key);
      }
    }
    if (best !== null && best.contract !== ofService.current) this.#count(ofService, best.contract);
    const key = keyOf(ofService.current);
    const usedHere = [...ofService.used.values()].includes(key);
    const stopped = ofService.usedHere && !usedHere;
    ofService.usedHere = usedHere;
    const { told } = ofService;
    const isTold = told !== null && told.key === key && told.inUse;
    if (usedHere ? !isTold : stopped && isTold && ofService.elsewhere === null) await this.#keep(ofService);
  }

  /** From now on it is the one that counts. */
  #count(ofService: ServiceContracts, contract: StoredContract): void {
    ofService.current = contract;
    this.generation++;
    for (const listener of this.#listeners) listener(contract);
  }

  async #keep(ofService: ServiceContracts): Promise<void> {
    const { service, digest, contracts, descriptors } = ofService.current;
    const key = keyOf(ofService.current);
    const order = ofService.known.get(key)?.order ?? 0;
    const inUse = ofService.usedHere;
    ofService.told = { key, inUse };
    ofService.elsewhere = null;
    await this.#keys.put({ service, digest, contracts, order, inUse }, descriptors);
  }

  #heard(): void {
    this.#last = this.#last.then(async () => {
      try {
        for (const kept of this.#closed ? [] : await this.#keys.list()) await this.#adopt(kept);
      } catch {
        // The store is away: it tells again when it is back.
      }
    });
  }

  /** What another control plane says of a service. */
  async #adopt(kept: ListedContract, atStart = false): Promise<void> {
    const { service, digest, contracts, inUse, order, version, own } = kept;
    if (this.#seen.get(service) === version) return;
    this.#seen.set(service, version);
    if (own) return;
    const key = keyOf({ digest, contracts });
    let contract = this.#services.get(service)?.known.get(key)?.contract;
    if (contract === undefined) {
      const descriptors = await this.#keys.descriptors(digest);
      if (descriptors === null) return;
      try {
        contract = makeContract(service, contracts, digest, descriptors);
      } catch {
        return; // Written by a version that understood more; its endpoints bring it again.
      }
    }
    let ofService = this.#services.get(service);
    const isNew = ofService === undefined;
    if (ofService === undefined) this.#services.set(service, (ofService = emptyOf(contract)));
    if (!ofService.known.has(key)) ofService.known.set(key, { contract, order });
    ofService.told = { key, inUse };
    // Whoever used it before a start comes back and says so.
    ofService.elsewhere = inUse && !atStart ? key : null;
    if (isNew && !atStart) this.#count(ofService, contract);
    else await this.#choose(ofService);
  }
}

export interface ContractRegistration {
  readonly service: string;
  readonly endpointId: string;
  readonly contracts: readonly string[];
  /** May be empty when the digest is known here. */
  readonly descriptors: Uint8Array;
  readonly digest: string;
}

interface KnownContract {
  readonly contract: StoredContract;
  /** The later, the higher. */
  readonly order: number;
}

interface ServiceContracts {
  current: StoredContract;
  readonly known: Map<string, KnownContract>;
  /** Endpoint id to the key of the contract that it registered with. */
  readonly used: Map<string, string>;
  /** Whether some of these use the one that counts. */
  usedHere: boolean;
  /** Key of the contract that another control plane says is in use there. */
  elsewhere: string | null;
  /** What the store says last. */
  told: { readonly key: string; readonly inUse: boolean } | null;
}

function emptyOf(contract: StoredContract): ServiceContracts {
  return { current: contract, known: new Map(), used: new Map(), usedHere: false, elsewhere: null, told: null };
}

function isLater(one: KnownContract, other: KnownContract): boolean {
  if (one.order !== other.order) return one.order > other.order;
  return keyOf(one.contract) > keyOf(other.contract);
}

function makeContract(
  service: string,
  contracts: readonly string[],
  digest: string,
  descriptors: Uint8Array,
): StoredContract {
  const set = parseContractSet(descriptors, contracts);
  const methods = Array.from(set.methods.values(), ({ path, idempotent, clientStreaming, serverStreaming }) => ({
    path,
    idempotent,
    clientStreaming,
    serverStreaming,
  }));
  const encoded = codecOf(ServiceContractSchema).encode({ service, contracts: [...contracts], digest, descriptors });
  return Object.freeze({
    service,
    contracts,
    digest,
    descriptors,
    methods: { contracts: [...contracts], methods },
    encoded,
  });
}

function keyOf({ digest, contracts }: { digest: string; contracts: readonly string[] }): string {
  return `${digest} ${[...contracts].sort().join(" ")}`;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function ignore(): void {}
