import { type Clock, systemClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { type Random, systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { ConsistencyMode, Registry } from "../../registry/registry.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { findCluster } from "./cluster-access.ts";
import { KubernetesBackend } from "./kubernetes-backend.ts";
import { parseKubernetesUrl } from "./kubernetes-url.ts";

export interface KubernetesRegistryOptions {
  /** "kubernetes:///NAMESPACE" or "kubernetes://HOST:6443/NAMESPACE?token-file=FILE&ca=FILE" (kubernetes-url.ts). */
  url: string;
  /** Whose endpoints they are: systems that share a namespace do not see what the others register. */
  system: string;
  /** Default "available". */
  mode?: ConsistencyMode;
  clock?: Clock;
  random?: Random;
  /** How long opening waits for the API server, ms. Default 10,000. */
  openTimeoutMs?: number;
  /** How long a control plane may be silent until the others hold what it registered for orphaned, ms. Default 10,000. */
  planeLeaseMs?: number;
  onError?: (error: WeftError) => void;
  onRecovered?: () => void;
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
