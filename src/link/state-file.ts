import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Endpoint } from "../core/endpoint.ts";
import type { Resource } from "../policy/resources.ts";
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

const FORMAT = 1;

interface SavedState {
  readonly format: number;
  readonly epoch: string;
  readonly revision: number;
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
