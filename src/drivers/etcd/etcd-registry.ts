import { systemClock } from "../../core/clock.ts";
import { systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { Registry } from "../../registry/registry.ts";
import type { RegistryDriverOptions } from "../driver-options.ts";
import { EtcdBackend } from "./etcd-backend.ts";
import { parseEtcdUrl } from "./etcd-url.ts";

/**
 * Endpoints in an etcd (3.4 and later), which several control planes may share: what one registers all see. Without it what is known stays in use, and nothing can be registered; when it is back,
 * whatever it lost of what is in use here is put there again.
 *
 * Rejects `unavailable` when no server answers in time, `unauthenticated` when the login is refused, `permission_denied` when its user has no rights there, `invalid_argument` for a url that is none.
 */
export async function openEtcdRegistry(options: RegistryDriverOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, ...rest } = options;
  const backend = new EtcdBackend({ target: parseEtcdUrl(url), system, clock, random });
  return await openBackedRegistry({ backend, clock, random, ...rest });
}
