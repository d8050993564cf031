import type { Endpoint, Health } from "../core/endpoint.ts";
import type { SharedLimits } from "../policy/limit/shared-limit.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import type { SettingsFollower } from "./settings-line.ts";

/** What the line keeps supplied, and hears from: a PolicyRuntime, or what stands in front of one. What carries no calls has none to count or to make up. */
export type SuppliedPolicy = Pick<
  PolicyRuntime,
  "applyResources" | "applyEndpoints" | "quorumBreakers" | "sharesLimits" | "process" | "journal"
> &
  Partial<Pick<PolicyRuntime, "advanceRevision" | "edges" | "createCall">>;

/** What a process is to the mesh: it stands at the edge, serves or calls by itself, or stands beside who does. */
export type ProcessRole = "gateway" | "service" | "sidecar";

/**
 * A process's line to the control plane. It keeps a PolicyRuntime supplied with resources, methods and endpoints of the services that
 * the process uses, registers what the process serves, and reports health. Losing the line changes nothing but freshness: the
 * last state stays in use, reconnection has jitter, and registrations are made again. Implementation: link.ts (`createLink`).
 */
export interface Link {
  /** Adds services (registry names or contract names) to what is kept up to date; "*" is all. Resolves when their first state is
   * applied to the policy runtime; never rejects for want of endpoints. Rejects `unavailable` after `timeoutMs` (default 5,000) without a control plane. */
  subscribe(service: string, timeoutMs?: number): Promise<void>;
  /** Registers what this process serves and keeps the lease. Resolves when the control plane acknowledged it. */
  register(registration: Registration): Promise<Registered>;
  /** Contracts of all registered services, for gateways: called with the serialised google.protobuf.FileDescriptorSet of each, and again on change. */
  watchContracts(listener: (contracts: readonly ServiceContract[]) => void): void;
  readonly connected: boolean;
  /** Limits that the whole system shares, in leases from the control plane. */
  readonly limits: SharedLimits;
  readonly settings: SettingsFollower;
  close(): Promise<void>;
}

export interface Registration {
  /** Health is "healthy" from the first acknowledged registration unless said otherwise. */
  endpoint: Omit<Endpoint, "health">;
  /** Full names of the gRPC services it serves: ["counter.v1.Counter"]. */
  contracts: readonly string[];
  /** Serialised google.protobuf.FileDescriptorSet with every file that they need; null for services without a contract. */
  descriptors: Uint8Array | null;
  ttlMs?: number;
}

export interface Registered {
  setHealth(health: Health, reason: string): Promise<void>;
  /** Deregisters. */
  release(): Promise<void>;
}

export interface ServiceContract {
  readonly service: string;
  readonly contracts: readonly string[];
  readonly descriptors: Uint8Array;
}
