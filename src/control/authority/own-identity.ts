import type { Cancel, Clock } from "../../core/clock.ts";
import { type IdentityMaterial, type IdentitySource, spiffeId } from "../../core/identity.ts";
import type { Authority } from "./authority.ts";

/** An identity that the authority gives its own process: renewed at half its life, with a key that is made anew each time. */
export class OwnIdentity implements IdentitySource {
  readonly id: string;
  current: IdentityMaterial;
  /** Without what is shown behind the certificate. */
  #material: IdentityMaterial;
  readonly #authority: Authority;
  readonly #service: string;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #stop: () => void;
  #cancel: Cancel = () => {};

  constructor(authority: Authority, service: string, clock: Clock) {
    this.#authority = authority;
    this.#service = service;
    this.#clock = clock;
    this.id = spiffeId(authority.system, service);
    this.#material = authority.issueWithKey(service);
    this.current = this.#shown();
    this.#stop = authority.onChange(() => this.#replace({ ...this.#material, trust: authority.trust }));
    this.#wait();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop();
    this.#cancel();
  }

  #wait(): void {
    this.#cancel = this.#clock.after(this.#authority.leafLifetimeMs / 2, () => {
      try {
        this.#replace(this.#authority.issueWithKey(this.#service));
      } catch {
        // The authority itself has expired; the next time it may not.
      }
      this.#wait();
    });
  }

  #shown(): IdentityMaterial {
    return { ...this.#material, certificate: this.#material.certificate + this.#authority.chain };
  }

  #replace(material: IdentityMaterial): void {
    this.#material = material;
    this.current = this.#shown();
    for (const listener of this.#listeners) listener();
  }
}
