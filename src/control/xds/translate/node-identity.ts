import type { Cancel, Clock } from "../../../core/clock.ts";
import type { Authority } from "../../authority/authority.ts";
import { SECRET, type XdsResource } from "../types.ts";
import { encodeResource } from "./encode.ts";
import { identitySecret, trustSecret } from "./transport.ts";

/**
 * The certificate of one node that has proven which service it is, with a key of its own, renewed at half its life; and the authorities that it is to trust. As SDS
 * has it, the key goes to the node with its certificate, over the stream on which it has shown its join token; it is kept nowhere else.
 */
export class NodeIdentity {
  readonly #authority: Authority;
  readonly #service: string;
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #unlisten: () => void;
  #certificate: XdsResource | null = null;
  #trust: XdsResource;
  #cancel: Cancel = () => {};

  constructor(authority: Authority, service: string, clock: Clock, changed: () => void) {
    this.#authority = authority;
    this.#service = service;
    this.#clock = clock;
    this.#changed = changed;
    this.#trust = encodeResource(SECRET, trustSecret(authority.trust));
    this.#renew();
    this.#unlisten = authority.onChange(() => {
      this.#trust = encodeResource(SECRET, trustSecret(authority.trust));
      changed();
    });
  }

  get secrets(): ReadonlyMap<string, XdsResource> {
    const secrets = this.#certificate === null ? [this.#trust] : [this.#certificate, this.#trust];
    return new Map(secrets.map((secret) => [secret.name, secret]));
  }

  close(): void {
    this.#cancel();
    this.#unlisten();
  }

  #renew(): void {
    const first = this.#certificate === null;
    try {
      const { certificate, privateKey } = this.#authority.issueWithKey(this.#service);
      this.#certificate = encodeResource(SECRET, identitySecret(certificate, privateKey));
      if (!first) this.#changed();
    } catch {
      // The authority's own certificate has run out. What the node has holds until its end; the next time there may be another authority.
    }
    this.#cancel = this.#clock.after(this.#authority.leafLifetimeMs / 2, () => this.#renew());
  }
}
