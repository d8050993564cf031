import { type Clock, systemClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { ConsistencyMode, Registry } from "../../registry/registry.ts";
import { ZookeeperBackend } from "./zookeeper-backend.ts";
import { parseZookeeperUrl } from "./zookeeper-url.ts";

export interface ZookeeperRegistryOptions {
  /** "zookeeper://user:password@h1:2181,h2:2181/PREFIX?ca=ca.pem" (zookeeper-url.ts). */
  url: string;
  /** Whose endpoints they are: systems that share a ZooKeeper do not see each other. */
  system: string;
  /** Default "available". */
  mode?: ConsistencyMode;
  /** How long opening waits for a server, ms. Default 10,000. */
  openTimeoutMs?: number;
  clock?: Clock;
  random?: Random;
  /** Told that no server is reached (what is known stays in use), and what in ZooKeeper cannot be used. Default: nobody is told. */
  onError?: (error: WeftError) => void;
  /** Told that a server is reached again. */
  onRecovered?: () => void;
}

/**
 * Endpoints in a ZooKeeper (3.6 and later), which several control planes may share: what one registers all see. Without it what is known stays in use, and nothing can be registered; when
 * it is back, whatever it lost of what is in use here is put there again.
 *
 * Rejects `unavailable` when no server answers in time, `permission_denied` when its user has no rights there, `invalid_argument` for a url that is none.
 */
export async function openZookeeperRegistry(options: ZookeeperRegistryOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, ...rest } = options;
  const backend = new ZookeeperBackend({ target: parseZookeeperUrl(url), system, clock, random });
  return await openBackedRegistry({ backend, clock, random, ...rest });
}
