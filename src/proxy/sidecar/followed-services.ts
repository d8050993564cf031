import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Link } from "../../link/types.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";

/**
 * The services that the application uses, each followed from its first call on, so that a sidecar holds what its application needs and no more.
 *
 *     unknown --first call--> asked --the control plane told its state--> ready
 *        ^                      '----- no answer in time: its callers are told ----'
 */
export class FollowedServices {
  readonly #link: Link | null;
  readonly #policy: PolicyRuntime;
  readonly #timeoutMs: number;
  readonly #services = new Map<string, FollowedService>();

  constructor(link: Link | null, policy: PolicyRuntime, timeoutMs = 5_000) {
    this.#link = link;
    this.#policy = policy;
    this.#timeoutMs = timeoutMs;
  }

  /** The service by its name; null when so many are followed that no other is. */
  of(name: string): FollowedService | null {
    let service = this.#services.get(name);
    if (service === undefined) {
      if (this.#services.size >= MAX_SERVICES) return null;
      service = new FollowedService(name, this.#link, this.#policy, this.#timeoutMs);
      this.#services.set(name, service);
    }
    return service;
  }

  /** How many there are, for people. */
  get size(): number {
    return this.#services.size;
  }
}

export class FollowedService {
  readonly name: string;
  /** Its state has been told: calls can be decided. */
  ready: boolean;
  readonly #link: Link | null;
  readonly #policy: PolicyRuntime;
  readonly #timeoutMs: number;
  #seen = false;
  #asking: Promise<void> | null = null;

  constructor(name: string, link: Link | null, policy: PolicyRuntime, timeoutMs: number) {
    this.name = name;
    this.#link = link;
    this.#policy = policy;
    this.#timeoutMs = timeoutMs;
    this.ready = link === null;
  }

  /** The mesh has or had endpoints of it. Only when it is ready. */
  get known(): boolean {
    this.#seen ||= this.#policy.knows(this.name);
    return this.#seen;
  }

  /** Resolves when it is ready; rejects `unavailable` when the control plane does not answer. Callers after a rejection ask again. */
  whenReady(): Promise<void> {
    this.#asking ??= (this.#link?.subscribe(this.name, this.#timeoutMs) ?? Promise.resolve()).then(
      () => {
        this.ready = true;
      },
      (thrown) => {
        this.#asking = null;
        const error = toWeftError(thrown);
        throw new WeftError(error.code, `${this.name} is not known yet: ${error.message}`, {
          reason: error.reason,
          cause: error,
        });
      },
    );
    return this.#asking;
  }
}

/** Names come from the application; each that is followed costs the control plane a subscription. */
const MAX_SERVICES = 1_000;
