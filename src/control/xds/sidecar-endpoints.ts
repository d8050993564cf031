import { parseHostPort } from "../../core/address.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { type MutualTls, spiffeId } from "../../core/identity.ts";
import type { Lease, Registry } from "../../registry/registry.ts";
import { assertEndpoint } from "../../registry/validate.ts";
import type { Catalog } from "../catalog.ts";
import { assertMayRegister } from "../registrant.ts";
import type { XdsStatus } from "./status.ts";
import type { XdsNode } from "./types.ts";

export interface SidecarEndpointsParts {
  readonly status: Pick<XdsStatus, "planes">;
  readonly registry: Pick<Registry, "register">;
  readonly catalog: Pick<Catalog, "get" | "endpoint">;
  readonly system: string;
  /** How a service takes calls. */
  readonly mutualTls: (service: string) => MutualTls;
  readonly clock: Clock;
  /** Told why one could not be registered. */
  readonly log: (line: string) => void;
}

/**
 * Registers the Envoys that stand before an application, for as long as they are attached and have accepted their listeners: an Envoy registers nothing itself. One that
 * says that somebody else registers it (the host that started it), or whose address somebody else has registered, is left to that.
 */
export class SidecarEndpoints {
  readonly #parts: SidecarEndpointsParts;
  readonly #leases = new Map<string, { readonly lease: Lease; readonly node: XdsNode }>();
  /** Node to what was told of it. */
  readonly #refused = new Map<string, string>();
  #cancel: Cancel;
  #closed = false;

  constructor(parts: SidecarEndpointsParts) {
    this.#parts = parts;
    this.#cancel = this.#wait();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await Promise.all(Array.from(this.#leases.values(), ({ lease }) => lease.release().catch(ignore)));
    this.#leases.clear();
  }

  #wait(): Cancel {
    return this.#parts.clock.after(EVERY_MS, () => {
      this.#look().then(() => {
        if (!this.#closed) this.#cancel = this.#wait();
      });
    });
  }

  async #look(): Promise<void> {
    const { status, clock } = this.#parts;
    const present = new Map<string, XdsNode>();
    for (const { node, revision, accepted, attachedMs, target } of status.planes()) {
      if (
        node.role !== "sidecar" ||
        node.inbound === 0 ||
        node.app === "" ||
        node.cluster === "" ||
        node.registers === false
      )
        continue;
      // Whoever started it may register it; before it has its listeners nobody can call it.
      const known = this.#leases.has(node.id);
      // A clock that was set back meanwhile says nothing: it has been there for a while.
      const isNew = Math.abs(clock.wallMs() - attachedMs) < SETTLED_MS;
      if (!known && (!accepted || revision < target || isNew)) continue;
      if (!this.#isOthers(node)) present.set(node.id, node);
    }
    for (const [id, { lease }] of this.#leases) {
      if (present.has(id)) continue;
      this.#leases.delete(id);
      await lease.release().catch(ignore);
    }
    for (const node of present.values()) {
      const held = this.#leases.get(node.id);
      const kept =
        held === undefined
          ? false
          : await held.lease.renew().then(
              () => true,
              () => false,
            );
      if (!kept) await this.#register(node);
    }
  }

  async #register(node: XdsNode): Promise<void> {
    this.#leases.delete(node.id);
    const { registry, catalog, system, mutualTls, log } = this.#parts;
    try {
      const endpoint = this.#endpointOf(node);
      assertEndpoint(endpoint);
      assertMayRegister(endpoint, {
        system,
        mode: mutualTls(endpoint.service),
        before: catalog.endpoint(endpoint.id),
        proves: (service) => service === node.identity,
        refusal: node.identity === null ? "the Envoy has shown no join token" : `the Envoy is "${node.identity}"`,
      });
      this.#refused.delete(node.id);
      const lease = await registry.register(endpoint, TTL_MS);
      if (this.#closed) await lease.release();
      else this.#leases.set(node.id, { lease, node });
    } catch (thrown) {
      const line = `xds: "${node.id}" of ${node.cluster} cannot be registered: ${(thrown as Error).message}`;
      // It is tried every second.
      if (this.#refused.get(node.id) === line) return;
      if (this.#refused.size >= MAX_REFUSED) this.#refused.clear();
      this.#refused.set(node.id, line);
      log(line);
    }
  }

  #endpointOf(node: XdsNode): Endpoint {
    const { id, cluster: service, inbound: port, version, zone, identity } = node;
    return {
      id,
      service,
      host: hostOf(node),
      port,
      version,
      zone,
      weight: 1,
      // Envoy takes both; what it speaks to the application is that application's own.
      protocol: this.#parts.catalog.get(service)?.methods == null ? "http1" : "h2c",
      health: "healthy",
      metadata: {},
      ...(identity === null ? {} : { identity: spiffeId(this.#parts.system, identity) }),
    };
  }

  #isOthers(node: XdsNode): boolean {
    const host = hostOf(node);
    for (const endpoint of this.#parts.catalog.get(node.cluster)?.endpoints.values() ?? [])
      if (endpoint.host === host && endpoint.port === node.inbound && endpoint.id !== node.id) return true;
    return false;
  }
}

/** Where others reach it: where its listener is, or for one on every address where it came from. */
function hostOf({ inboundHost, address }: XdsNode): string {
  if (inboundHost !== "0.0.0.0" && inboundHost !== "::") return inboundHost;
  const host = parseHostPort(address)?.host ?? address;
  return host === "" ? "127.0.0.1" : host;
}

const EVERY_MS = 1_000;
const SETTLED_MS = 2_000;
const TTL_MS = 15_000;
const MAX_REFUSED = 1_000;

function ignore(): void {}
