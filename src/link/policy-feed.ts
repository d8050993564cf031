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
  readonly #onApplied: (applied: Applied) => void;
  #good: { revision: number; resources: readonly Resource[] } = { revision: 0, resources: [] };
  /** Why the newest resources are not in force, "" when they are. */
  #refusal = "";

  /** `onApplied` is told of every revision whether it came into force. */
  constructor(
    policy: SuppliedPolicy,
    mirror: Mirror,
    report: (error: WeftError) => void,
    onApplied: (applied: Applied) => void = () => {},
  ) {
    this.#policy = policy;
    this.#mirror = mirror;
    this.#report = report;
    this.#onApplied = onApplied;
  }

  feed({ resources: changedResources, advanced, changed, removed }: MirrorChange): void {
    const { endpointVersion, revision, resources } = this.#mirror;
    if (changed.length + removed.length > 0) {
      this.#policy.applyEndpoints({ endpointVersion, full: false, changed, removed });
    }
    if (changedResources) {
      const methods = this.#mirror.methods();
      try {
        this.#policy.applyResources(revision, resources, methods);
        this.#good = { revision, resources };
        this.#refusal = "";
      } catch (cause) {
        this.#policy.applyResources(this.#good.revision, this.#good.resources, methods);
        this.#refusal = toWeftError(cause).message;
        const message = `revision ${revision} cannot be used here, ${this.#good.revision} stays: ${this.#refusal}`;
        this.#report(new WeftError("failed_precondition", message, { reason: "RESOURCES_REFUSED", cause }));
      }
    } else if (!advanced) return;
    else if (this.#refusal === "") {
      this.#good = { revision, resources };
      this.#policy.advanceRevision?.(revision);
    }
    this.#onApplied({ revision, error: this.#refusal });
  }
}

/** Whether a revision came into force here; if not, why. */
export interface Applied {
  readonly revision: number;
  /** "" when it did. */
  readonly error: string;
}
