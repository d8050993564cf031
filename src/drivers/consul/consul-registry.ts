import { systemClock } from "../../core/clock.ts";
import { systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { Registry } from "../../registry/registry.ts";
import { assertServiceName } from "../../registry/validate.ts";
import type { RegistryDriverOptions } from "../driver-options.ts";
import { ConsulBackend } from "./consul-backend.ts";
import { parseConsulUrl } from "./consul-url.ts";

/**
 * Endpoints in a Consul (1.13 or later), which several control planes may share; what others registered there is seen, too.
 *
 * Rejects `unavailable` when Consul does not answer in time, `unauthenticated` or `permission_denied` when its ACLs refuse, `invalid_argument` for a url that is none.
 */
export async function openConsulRegistry(options: RegistryDriverOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, ...rest } = options;
  const target = parseConsulUrl(url);
  assertServiceName(system, "system");
  return openBackedRegistry({ backend: new ConsulBackend({ target, system, clock, random }), clock, random, ...rest });
}
