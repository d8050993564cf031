import type { Hello } from "../contract/gen/weft/control/v1/control.ts";
import type { Hub } from "./hub.ts";
import { type ResourceScopes, sameScope } from "./resource-scopes.ts";

/** Which services one process uses and serves, and what it was sent of the resources that concern them. It only ever widens: a process follows what it once used. */
export class SessionScope {
  readonly #services = new Set<string>();
  /** The same for the same names; null when it is to be made anew. */
  #key: string | null = null;
  #sent: readonly string[] | null = null;

  constructor({ contracts, limits }: Pick<Hub, "contracts" | "limits">, { service, services }: Hello) {
    if (service !== "") this.#services.add(service);
    for (const name of services.slice(0, limits.maxSubscriptions)) {
      // The name of a contract stands for whoever serves it.
      for (const serving of name.includes(".") ? contracts.servicesOf(name) : [name]) this.#services.add(serving);
    }
  }

  /** Whether that is new. */
  add(service: string): boolean {
    if (this.#services.has(service)) return false;
    this.#services.add(service);
    this.#key = null;
    return true;
  }

  /** An encoded ResourceSet, taken as sent; null when `revision`, which was sent before, is all there is. */
  next(scopes: ResourceScopes, revision: number): Uint8Array | null {
    this.#key ??= [...this.#services].sort().join();
    const { texts, bytes } = scopes.of(this.#services, this.#key);
    if (this.#sent !== null && sameScope(this.#sent, texts)) {
      return revision === scopes.revision ? null : scopes.unchanged;
    }
    this.#sent = texts;
    return bytes;
  }
}
