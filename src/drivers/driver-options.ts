import type { Clock } from "../core/clock.ts";
import type { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { ConsistencyMode } from "../registry/registry.ts";

/** What each driver that speaks with a server is opened with. */
export interface DriverOptions {
  /** Where the server is; how it looks is each driver's own (etcd-url.ts and its like). */
  url: string;
  /** Whose endpoints or keys they are: systems that share a server do not see each other. */
  system: string;
  /** How long opening waits for the server, ms. Default 10,000. */
  openTimeoutMs?: number;
  clock?: Clock;
  random?: Random;
}

/** Whom a driver tells of its server. */
export interface DriverEvents {
  /** Told that the server is not reached (what is known stays in use), and what in it cannot be used. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told that it is reached again. */
  onRecovered?: () => void;
}

export interface RegistryDriverOptions extends DriverOptions, DriverEvents {
  /** Default "available". In "consistent" queries ask the server, and are refused where it does not answer. */
  mode?: ConsistencyMode;
}
