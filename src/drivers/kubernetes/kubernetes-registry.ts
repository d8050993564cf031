import { systemClock } from "../../core/clock.ts";
import { systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { Registry } from "../../registry/registry.ts";
import { assertServiceName } from "../../registry/validate.ts";
import type { RegistryDriverOptions } from "../driver-options.ts";
import { findCluster } from "./cluster-access.ts";
import { KubernetesBackend } from "./kubernetes-backend.ts";
import { parseKubernetesUrl } from "./kubernetes-url.ts";

export interface KubernetesRegistryOptions extends RegistryDriverOptions {
  /** How long a control plane may be silent until the others hold what it registered for orphaned, ms. Default 10,000. */
  planeLeaseMs?: number;
}

/**
 * Endpoints in the EndpointSlices of a namespace of Kubernetes (1.21 and later), which several control planes may share, together with those that Kubernetes itself keeps for Services.
 *
 * Rejects `unavailable` when no API server answers in time, `unauthenticated` and `permission_denied` when it refuses (the Role lacks a verb), `invalid_argument` for a url that is none.
 */
export async function openKubernetesRegistry(options: KubernetesRegistryOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, planeLeaseMs, ...rest } = options;
  const access = findCluster(parseKubernetesUrl(url));
  assertServiceName(system, "system");
  const backend = new KubernetesBackend({ access, system, clock, random, planeLeaseMs });
  return openBackedRegistry({ ...rest, backend, clock, random });
}
