import { hostname } from "node:os";
import { endpointOfMessage, endpointToMessage } from "../../contract/endpoint-message.ts";
import { Admin, Health as HealthMessage } from "../../contract/gen/weft/control/v1/control.ts";
import { Endpoints } from "../../contract/gen/weft/control/v1/endpoints.ts";
import { systemClock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { toWeftError, type WeftError } from "../../core/errors.ts";
import { MemoryRegistry } from "../../drivers/memory/memory-registry.ts";
import { isOnThisMachine } from "../../link/control-security.ts";
import { operatorLineProof } from "../../link/line-proof.ts";
import { createLink } from "../../link/link.ts";
import type { Link } from "../../link/types.ts";
import { ProcessState } from "../../policy/snapshot/process-state.ts";
import type { EndpointDelta, EndpointList, Lease, Watch } from "../../registry/registry.ts";
import { removeEndpoint } from "../../registry/remove-endpoint.ts";
import { alreadyThere, isSamePlace } from "../../registry/same-place.ts";
import { assertEndpoint, assertTtl } from "../../registry/validate.ts";
import { cannotAsk } from "../ask-control.ts";
import { controlClient, toolSecurity } from "../control-client.ts";
import { openRegistry } from "../open-registry.ts";
import { packageVersion } from "../version.ts";

/** A registry as commands use it: a control plane's, or one that is reached directly. */
export interface RegistryAccess {
  /** Where it is, for people and as the name of copies: "consul://10.0.0.5:8500 shop". Nothing that may be secret. */
  readonly name: string;
  query(services: readonly string[]): Promise<EndpointList>;
  watch(services: readonly string[], listener: (delta: EndpointDelta) => void): Watch;
  /** `ttlMs` Infinity: until it is deregistered. The lease is kept until it is released, or this is closed. An id that another endpoint has is refused unless `replace`. */
  register(endpoint: Endpoint, ttlMs: number, replace: boolean): Promise<Pick<Lease, "release">>;
  setHealth(id: string, health: Health, reason: string): Promise<void>;
  /** Takes it away, whoever registered it. */
  remove(id: string): Promise<void>;
  close(): Promise<void>;
}

export interface DirectAccess {
  url: string;
  system: string;
  tell: (message: string) => void;
}

/** A registry by its url: "consul://...". */
export async function openDirectAccess({ url, system, tell }: DirectAccess): Promise<RegistryAccess> {
  const registry = await openRegistry({ url, dataDir: "", system, tell, openTimeoutMs: OPEN_MS });
  const beats = new Beats();
  return {
    name: `${placeOf(url)} ${system}`,
    query: (services) => registry.query(services),
    watch: (services, listener) => registry.watch(services, listener),
    async register(endpoint, ttlMs, replace) {
      assertEndpoint(endpoint);
      assertTtl(ttlMs);
      if (!replace) {
        const { endpoints } = await registry.query(["*"]);
        const before = endpoints.find(({ id }) => id === endpoint.id);
        if (before !== undefined && !isSamePlace(before, endpoint)) throw alreadyThere(before);
      }
      const lease = await registry.register(endpoint, ttlMs);
      if (ttlMs === Number.POSITIVE_INFINITY) return lease;
      const beat = beats.start(endpoint.id, ttlMs, () => lease.renew(), tell);
      return {
        async release() {
          beats.stop(beat);
          await lease.release();
        },
      };
    },
    setHealth: (id, health, reason) => registry.setHealth(id, health, reason),
    remove: async (id) => void (await removeEndpoint(registry, id)),
    async close() {
      beats.close();
      await registry.close();
    },
  };
}

export interface PlaneAccess {
  /** One or several control planes: "h1:7070,h2:7070". */
  address: string;
  /** The operator's, or an admin's; "" for none. */
  token: string;
  tell: (message: string) => void;
}

/** The registry of a control plane: what it holds comes over a line, as it comes to every process. */
export async function openPlaneAccess({ address, token, tell }: PlaneAccess): Promise<RegistryAccess> {
  const mirror = new MemoryRegistry();
  const beats = new Beats();
  const tokens = new Map<string, number>();
  let flushed: Promise<void> = Promise.resolve();
  const take = ({
    full,
    changed,
    removed,
  }: Pick<EndpointDelta, "full" | "changed"> & { removed: readonly { id: string }[] }): void => {
    const { table } = mirror;
    const drop = (id: string): void => {
      const own = tokens.get(id);
      if (own === undefined) return;
      table.release(id, own, "gone");
      tokens.delete(id);
    };
    if (full) {
      const present = new Set(changed.map(({ id }) => id));
      for (const id of [...tokens.keys()]) if (!present.has(id)) drop(id);
    }
    for (const { id } of removed) drop(id);
    for (const endpoint of changed)
      tokens.set(endpoint.id, table.register(endpoint, Number.POSITIVE_INFINITY, systemClock.now()));
    flushed = mirror.flush();
  };
  const metadata: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  const [endpoints, admin] = await Promise.all([
    controlClient(Endpoints, address, token !== ""),
    controlClient(Admin, address, token !== ""),
  ]);
  let line: Link | null = null;
  const security = await toolSecurity(address);
  /** Opened by the first command that needs it. */
  const link = (): Link =>
    (line ??= createLink({
      address,
      control: security,
      policy: {
        applyResources() {},
        applyEndpoints: take,
        quorumBreakers: () => [],
        sharesLimits: false,
        process: new ProcessState(),
        journal: null,
      },
      process: "registry",
      version: `weft ${packageVersion()}`,
      ...(token !== "" && { proof: operatorLineProof(() => token) }),
      onError: ({ message }) => tell(message),
    }));
  let reached = false;
  /** A line tries again; who asks for the first time is told at once that nobody is there. */
  const reach = async (): Promise<void> => {
    if (reached) return;
    await admin.client.getStatus({}, { metadata }).catch((thrown: unknown) => {
      // It may not be asked for its status: the line says what it may.
      if (toWeftError(thrown).code === "unavailable") throw cannotAsk(address, thrown);
    });
    reached = true;
  };
  const known = async (services: readonly string[]): Promise<void> => {
    await reach();
    for (const service of services.includes("*") ? ["*"] : services) await link().subscribe(service, 10_000);
    await flushed;
  };
  return {
    // The same loopback address is another control plane's on each machine.
    name: isOnThisMachine(address) ? `${hostname()} ${address}` : address,
    async query(services) {
      await known(services);
      const { staleMs, mode } = await admin.client.getStatus({}, { metadata });
      const list = await mirror.query(services);
      if (mode !== "consistent" || services.length === 0) return { ...list, staleMs: Number(staleMs) };
      // What is told by a line may be old: this is confirmed, or refused.
      const answer = await admin.client.listServices({}, { metadata });
      const endpoints = answer.services
        .filter(({ service }) => services.includes("*") || services.includes(service))
        .flatMap((service) => service.endpoints.flatMap(({ endpoint }) => (endpoint === undefined ? [] : endpoint)));
      return { ...list, staleMs: Number(answer.staleMs), endpoints: endpoints.map(endpointOfMessage) };
    },
    watch(services, listener) {
      let watch: Watch | null = null;
      let closed = false;
      known(services).then(
        () => {
          if (!closed) watch = mirror.watch(services, listener);
        },
        (thrown: WeftError) => tell(thrown.message),
      );
      return {
        close() {
          closed = true;
          watch?.close();
        },
      };
    },
    async register(endpoint, ttlMs, replace) {
      assertEndpoint(endpoint);
      assertTtl(ttlMs);
      const forever = ttlMs === Number.POSITIVE_INFINITY;
      // What takes another's place, or stays, is a matter for those who may; a lease of its own anybody's.
      if (forever || replace) {
        const message = endpointToMessage(endpoint);
        const say = (taking: boolean) =>
          endpoints.client.registerEndpoint(
            { endpoint: message, replace: taking, ...(!forever && { ttlMs: Math.round(ttlMs) }) },
            { metadata },
          );
        await say(replace);
        const beat = forever ? null : beats.start(endpoint.id, ttlMs, () => say(false), tell);
        return {
          async release() {
            if (beat !== null) beats.stop(beat);
            await endpoints.client.deregisterEndpoint({ id: endpoint.id }, { metadata });
          },
        };
      }
      await known(["*"]);
      const before = (await mirror.query(["*"])).endpoints.find(({ id }) => id === endpoint.id);
      if (before !== undefined && !isSamePlace(before, endpoint)) throw alreadyThere(before);
      const { health, ...rest } = endpoint;
      const registered = await link().register({ endpoint: rest, contracts: [], descriptors: null, ttlMs });
      if (health !== "healthy") await registered.setHealth(health, "as it was registered");
      return registered;
    },
    async setHealth(id, health, reason) {
      await endpoints.client.setEndpointHealth({ id, health: HEALTHS[health], reason }, { metadata });
    },
    async remove(id) {
      await endpoints.client.deregisterEndpoint({ id }, { metadata });
    },
    async close() {
      beats.close();
      await line?.close();
      await Promise.all([endpoints.close(), admin.close(), mirror.close()]);
    },
  };
}

/** How long a person waits for a registry that does not answer, ms. */
const OPEN_MS = 4_000;

/** A registry's url without what may be secret in it: its login and parameters. */
export function placeOf(url: string): string {
  return url.replace(/[?#].*$/s, "").replace(/^([a-z]+:\/\/)[^/]*@/, "$1");
}

/** Renews leases three times in their period; another one of the same id takes the place of the one before. */
class Beats {
  readonly #beats = new Map<string, Beat>();

  start(id: string, ttlMs: number, renew: () => Promise<unknown>, tell: (message: string) => void): Beat {
    const timer = setInterval(() => {
      renew().catch((thrown) => {
        const { code, message } = toWeftError(thrown);
        // Away: the next beat tries again.
        if (code !== "not_found" && code !== "already_exists" && code !== "permission_denied") return;
        this.stop(beat);
        tell(message);
      });
    }, ttlMs / 3);
    const beat = { id, timer };
    const before = this.#beats.get(id);
    if (before !== undefined) this.stop(before);
    this.#beats.set(id, beat);
    return beat;
  }

  stop(beat: Beat): void {
    clearInterval(beat.timer);
    if (this.#beats.get(beat.id) === beat) this.#beats.delete(beat.id);
  }

  close(): void {
    for (const beat of [...this.#beats.values()]) this.stop(beat);
  }
}

interface Beat {
  readonly id: string;
  readonly timer: NodeJS.Timeout;
}

const HEALTHS: Readonly<Record<Health, HealthMessage>> = {
  healthy: HealthMessage.HEALTHY,
  unhealthy: HealthMessage.UNHEALTHY,
  draining: HealthMessage.DRAINING,
};
