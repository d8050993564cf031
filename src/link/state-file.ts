import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Cancel, Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { WeftError } from "../core/errors.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { Mirror } from "./mirror.ts";

/**
 * The last state on disk, for a process that starts while the control plane is away. JSON, replaced whole (written beside and renamed), so that it is
 * never half a state; a file that cannot be understood is as good as none.
 */
export async function saveState(file: string, mirror: Mirror): Promise<void> {
  const saved: SavedState = {
    format: FORMAT,
    epoch: mirror.epoch,
    revision: mirror.revision,
    ledger: mirror.ledger,
    resources: mirror.resources,
    endpointVersion: mirror.endpointVersion,
    services: Array.from(mirror.services, ([name, { version, endpoints, contracts, methods }]) => ({
      name,
      version,
      endpoints: [...endpoints.values()],
      contracts,
      methods: methods.map(({ path, idempotent, clientStreaming, serverStreaming }) => ({
        path,
        idempotent,
        clientStreaming,
        serverStreaming,
      })),
    })),
    contracts: Array.from(mirror.contracts.values(), (contract) => ({
      ...contract,
      descriptors: Buffer.from(contract.descriptors).toString("base64"),
    })),
  };
  await mkdir(dirname(file), { recursive: true });
  const beside = `${file}.${process.pid}.new`;
  await writeFile(beside, JSON.stringify(saved), { mode: 0o600 });
  await rename(beside, file);
}

/** Fills an empty mirror; false when there is no state to be had. */
export async function loadState(file: string, mirror: Mirror): Promise<boolean> {
  let saved: SavedState;
  try {
    saved = JSON.parse(await readFile(file, "utf8")) as SavedState;
  } catch {
    return false;
  }
  if (saved?.format !== FORMAT || !Array.isArray(saved.services)) return false;
  // Versions of another run mean nothing to this one's control plane: it tells everything again.
  mirror.epoch = "";
  mirror.revision = saved.revision;
  mirror.ledger = saved.ledger ?? "";
  mirror.resources = saved.resources;
  mirror.endpointVersion = saved.endpointVersion;
  for (const { name, version, endpoints, contracts, methods } of saved.services) {
    mirror.services.set(name, {
      version,
      endpoints: new Map(endpoints.map((endpoint: Endpoint) => [endpoint.id, endpoint])),
      contracts,
      methods,
    });
  }
  for (const contract of saved.contracts) {
    const descriptors = Uint8Array.from(Buffer.from(contract.descriptors, "base64"));
    mirror.contracts.set(contract.service, { ...contract, descriptors });
  }
  return true;
}

/** Keeps a mirror's state in a file, written at most every SAVE_DELAY_MS. */
export class StateSaver {
  readonly #file: string;
  readonly #mirror: Mirror;
  readonly #clock: Clock;
  readonly #onError: (error: WeftError) => void;
  #cancel: Cancel | null = null;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(file: string, mirror: Mirror, clock: Clock, onError: (error: WeftError) => void) {
    this.#file = file;
    this.#mirror = mirror;
    this.#clock = clock;
    this.#onError = onError;
  }

  load(): Promise<boolean> {
    return loadState(this.#file, this.#mirror);
  }

  saveSoon(): void {
    if (this.#cancel !== null || this.#closed) return;
    this.#cancel = this.#clock.after(SAVE_DELAY_MS, () => this.#save());
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#cancel !== null) this.#save();
    await this.#saving;
  }

  #save(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#saving = this.#saving
      .then(() => saveState(this.#file, this.#mirror))
      .catch((cause) => {
        const message = `the state cannot be saved in ${this.#file}: ${(cause as Error).message}`;
        this.#onError(new WeftError("internal", message, { reason: "STATE_NOT_SAVED", cause }));
      });
  }
}

const SAVE_DELAY_MS = 500;
const FORMAT = 1;

interface SavedState {
  readonly format: number;
  readonly epoch: string;
  readonly revision: number;
  /** Of files of earlier versions it is not there. */
  readonly ledger?: string;
  readonly resources: readonly Resource[];
  readonly endpointVersion: number;
  readonly services: readonly {
    readonly name: string;
    readonly version: number;
    readonly endpoints: readonly Endpoint[];
    readonly contracts: readonly string[];
    readonly methods: readonly {
      readonly path: string;
      readonly idempotent: boolean;
      readonly clientStreaming: boolean;
      readonly serverStreaming: boolean;
    }[];
  }[];
  readonly contracts: readonly {
    readonly service: string;
    readonly contracts: readonly string[];
    readonly descriptors: string;
  }[];
}
