import { toWeftError, WeftError } from "../core/errors.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { Mirror, MirrorChange } from "./mirror.ts";
import type { SuppliedPolicy } from "./types.ts";

/**
 * Gives a policy runtime what is new in the mirror: endpoints first, so that new routes find theirs. Resources that cannot be compiled here (this
 * process may be older than they are) are reported, and the last good ones stay in use, under the methods of now.
 */
export class PolicyFeed {
  readonly #policy: SuppliedPolicy;
  readonly #mirror: Mirror;
  readonly #report: (error: WeftError) => void;
  #good: { revision: number; resources: readonly Resource[] } = { revision: 0, resources: [] };

  constructor(policy: SuppliedPolicy, mirror: Mirror, report: (error: WeftError) => void) {
    this.#policy = policy;
    this.#mirror = mirror;
    this.#report = report;
  }

  feed({ resources: changedResources, changed, removed }: MirrorChange): void {
    const { endpointVersion, revision, resources } = this.#mirror;
    if (changed.length + removed.length > 0) {
      this.#policy.applyEndpoints({ endpointVersion, full: false, changed, removed });
    }
    if (!changedResources) return;
    const methods = this.#mirror.methods();
    try {
      this.#policy.applyResources(revision, resources, methods);
      this.#good = { revision, resources };
    } catch (cause) {
      this.#policy.applyResources(this.#good.revision, this.#good.resources, methods);
      const message = `revision ${revision} cannot be used here, ${this.#good.revision} stays: ${toWeftError(cause).message}`;
      this.#report(new WeftError("failed_precondition", message, { reason: "RESOURCES_REFUSED", cause }));
    }
  }
}
