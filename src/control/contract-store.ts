import { createHash } from "node:crypto";
import { codecOf } from "../contract/codec.ts";
import { parseContractSet } from "../contract/contract-set.ts";
import { type MethodsSchema, ServiceContractSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import type { SqliteThread } from "../core/sqlite/sqlite-thread.ts";

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
 */
export class ContractStore {
  readonly #database: SqliteThread;
  readonly #services = new Map<string, ServiceContracts>();
  readonly #listeners = new Set<(contract: StoredContract) => void>();
  #order = 0;
  /** Another whenever the contract that counts for some service is. */
  generation = 0;

  private constructor(database: SqliteThread) {
    this.#database = database;
  }

  static async open(database: SqliteThread): Promise<ContractStore> {
    const store = new ContractStore(database);
    await database.write([{ sql: "DELETE FROM descriptors WHERE digest NOT IN (SELECT digest FROM contract)" }]);
    const rows = await database.read(
      "SELECT service, contracts, digest, bytes FROM contract JOIN descriptors USING (digest)",
    );
    for (const row of rows) {
      const contracts = JSON.parse(String(row.contracts)) as string[];
      try {
        const contract = makeContract(String(row.service), contracts, String(row.digest), row.bytes as Uint8Array);
        const known = new Map([[keyOf(contract), { contract, order: ++store.#order }]]);
        store.#services.set(contract.service, { current: contract, known, used: new Map() });
      } catch {
        // Written by a version that understood more; its endpoints bring it again.
      }
    }
    return store;
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
      known = { contract, order: ++this.#order };
      if (ofService === undefined) {
        ofService = { current: contract, known: new Map(), used: new Map() };
        this.#services.set(service, ofService);
        ofService.known.set(key, known);
        ofService.used.set(endpointId, key);
        return this.#publish(ofService, contract);
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
    await this.#database.write([{ sql: "DELETE FROM contract WHERE service = ?", parameters: [service] }]);
  }

  #choose(ofService: ServiceContracts): Promise<void> {
    const inUse = new Set(ofService.used.values());
    let best: { contract: StoredContract; order: number } | null = null;
    for (const [key, known] of ofService.known) {
      if (inUse.has(key)) {
        if (best === null || known.order > best.order) best = known;
      } else if (known.contract !== ofService.current) {
        ofService.known.delete(key);
      }
    }
    if (best === null || best.contract === ofService.current) return Promise.resolve();
    return this.#publish(ofService, best.contract);
  }

  async #publish(ofService: ServiceContracts, contract: StoredContract): Promise<void> {
    ofService.current = contract;
    this.generation++;
    for (const listener of this.#listeners) listener(contract);
    await this.#database.write([
      { sql: "INSERT OR IGNORE INTO descriptors VALUES (?, ?)", parameters: [contract.digest, contract.descriptors] },
      {
        sql: "INSERT OR REPLACE INTO contract (service, digest, contracts) VALUES (?, ?, ?)",
        parameters: [contract.service, contract.digest, JSON.stringify(contract.contracts)],
      },
    ]);
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

interface ServiceContracts {
  current: StoredContract;
  readonly known: Map<string, { contract: StoredContract; order: number }>;
  /** Endpoint id to the key of the contract that it registered with. */
  readonly used: Map<string, string>;
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
