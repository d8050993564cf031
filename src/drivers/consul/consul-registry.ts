import { type Clock, systemClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { ConsistencyMode, Registry } from "../../registry/registry.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { ConsulBackend } from "./consul-backend.ts";
import { parseConsulUrl } from "./consul-url.ts";

export interface ConsulRegistryOptions {
  /** "consul://token@127.0.0.1:8500/PREFIX?dc=dc1&ca=ca.pem" (consul-url.ts). */
  url: string;
  /** Whose endpoints they are: systems that share a Consul do not see each other. */
  system: string;
  /** Default "available". */
  mode?: ConsistencyMode;
  clock?: Clock;
  random?: Random;
  /** How long opening waits for Consul, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** Told that Consul is not reached (what is known stays in use), and what in it cannot be used. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told that it is reached again. */
  onRecovered?: () => void;
}

/**
 * Endpoints in a Consul (1.13 or later), which several control planes may share; what others registered there is seen, too.
 *
 * Rejects `unavailable` when Consul does not answer in time, `unauthenticated` or `permission_denied` when its ACLs refuse, `invalid_argument` for a url that is none.
 */
export async function openConsulRegistry(options: ConsulRegistryOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, ...rest } = options;
  const target = parseConsulUrl(url);
  assertServiceName(system, "system");
  return openBackedRegistry({ backend: new ConsulBackend({ target, system, clock, random }), clock, random, ...rest });
}
