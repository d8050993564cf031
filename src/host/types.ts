import type { Clock } from "../core/clock.ts";
import type { Endpoint, Health } from "../core/endpoint.ts";
import type { Random } from "../core/random.ts";
import type { Launcher } from "./launch.ts";
import type { System } from "./resolve-system.ts";
import type { InstancePhase, NoticeType, SupervisorPhase } from "./supervisor-types.ts";

/** A running system on this machine: its control plane, its gateway and its services, each in processes of their own. */
export interface Host {
  /** Resolves when everything has ended; `failure` says why when it was not asked to. */
  readonly done: Promise<{ failure: string | null }>;
  readonly phase: SupervisorPhase;
  /** The gateway's URL, once it listens. */
  readonly gateway: string | null;
  /** Where the gateway serves metrics, once it listens. */
  readonly gatewayAdmin: string | null;
  /** Where DNS queries are answered ("dns://127.0.0.1:5353"), once they are. */
  readonly dns: string | null;
  /** The control plane's URL, once it listens. */
  readonly control: string | null;
  start(): void;
  /** The first call drains and stops in reverse order, the second kills everything. */
  stop(): void;
  /** Replaces all instances of a service (or of "products@v1", "gateway", "control"), one after the other; a new one is healthy before an
   * old one drains. Rejects `not_found`, or `failed_precondition` when the system is not ready or a new instance does not get healthy. */
  restart(name: string): Promise<void>;
  instances(): readonly InstanceView[];
  /** The log file of a service, of the gateway or of the control plane. Throws `not_found`. */
  logFile(name: string): string;
  /** What people call a unit by: "products" of "products@v1", "products-sidecar" of the sidecars of all versions. */
  serviceOf(unit: string): string;
}

export interface InstanceView {
  readonly id: string;
  /** "products", "products-sidecar", "gateway", "control", "dns". */
  readonly service: string;
  readonly version: string;
  readonly unit: string;
  readonly state: InstancePhase;
  /** As the registry sees it; null while it is not registered. */
  readonly health: Health | null;
  /** "127.0.0.1:41234", "" while it is not known. */
  readonly address: string;
  readonly pid: number;
  readonly restarts: number;
  readonly lastReason: string;
  readonly sinceMs: number;
}

export type HostEvent =
  /** A line that a process wrote. */
  | {
      readonly type: "log";
      readonly id: string;
      readonly unit: string;
      readonly stream: "out" | "err";
      readonly line: string;
    }
  /** Something happened to an instance, or (id "") to a unit. */
  | {
      readonly type: NoticeType;
      readonly id: string;
      readonly unit: string;
      readonly text: string;
      readonly delayMs: number;
    }
  /** Every instance is healthy for the first time. */
  | { readonly type: "system-ready"; readonly gateway: string | null }
  | { readonly type: "stopping"; readonly reason: string | null }
  | { readonly type: "stopped"; readonly failure: string | null };

export interface HostOptions extends Launcher {
  /** Opens the host's line to the control plane at `address`; called once, when it listens first. */
  readonly openControl: (address: string, onEndpoints: (delta: EndpointChange) => void) => Promise<ControlLine>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: (event: HostEvent) => void;
}

/** What the host asks of the control plane. */
export interface ControlLine {
  /** Publishes the system's routes and policies. Rejects with all that is wrong with them. */
  publish(system: System): Promise<void>;
  /** Registers an instance that does not do so itself. */
  register(endpoint: Omit<Endpoint, "health">): Promise<{ release(): Promise<void> }>;
  close(): Promise<void>;
}

export interface EndpointChange {
  readonly full: boolean;
  readonly changed: readonly Endpoint[];
  readonly removed: readonly { readonly id: string }[];
}

/** What weft's own processes tell their host through their channel once they listen. */
export interface ListeningMessage {
  readonly type: "weft:listening";
  readonly url: string;
  readonly admin: string;
}
