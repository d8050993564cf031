import type { Cancel, Clock } from "../../core/clock.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { Lease, Registry } from "../../registry/registry.ts";
import { removeEndpoint } from "../../registry/remove-endpoint.ts";
import type { CheckDefinition, CheckStatus } from "./check-definition.ts";
import type { ConsulView } from "./consul-view.ts";
import type { Mark } from "./mark.ts";
import { bad, unknown } from "./refusal.ts";
import type { ParsedRegistration } from "./registration.ts";

/**
 * Registrations as an agent of Consul keeps them: an endpoint stays until it is deregistered, and its TTL checks turn critical when nobody says that they pass.
 *
 *     registered --pass, fail, time--> owner's health of the endpoint (critical: unhealthy; else healthy)
 *     maintenance                  --> draining
 *
 * Without TTL checks the registration never ends. With them it is a lease that this control plane renews for as long as it holds it, so that it ends when the control
 * plane and the service are both gone; where another control plane, or one that has restarted, hears that a check passes, it takes the lease over.
 *
 * G1 a TTL check is critical when nobody has said otherwise for its period;  G2 one critical TTL check makes the endpoint unhealthy, and the last one to pass makes it healthy;
 * G3 a service whose check was critical for longer than its DeregisterCriticalServiceAfter is gone;  G4 what was refused has changed nothing.
 */
export class ConsulAgent {
  readonly #registry: Registry;
  readonly #view: ConsulView;
  readonly #clock: Clock;
  readonly #checkMessage: (id: string) => string;
  readonly #onError: (message: string) => void;
  readonly #maxRegistrations: number;
  readonly #held = new Map<string, Held>();
  /** What is being done with an id, one after the other. */
  readonly #working = new Map<string, Promise<unknown>>();
  /** "ID\nCHECK" to when it turned critical. */
  readonly #criticalSince = new Map<string, number>();
  #stopReaping: Cancel = ignore;
  #closed = false;

  constructor(options: ConsulAgentOptions) {
    this.#registry = options.registry;
    this.#view = options.view;
    this.#clock = options.clock;
    this.#checkMessage = options.checkMessage;
    this.#onError = options.onError;
    this.#maxRegistrations = options.maxRegistrations ?? 10_000;
    this.#reapLater();
  }

  /** Registrations stay. */
  close(): void {
    this.#closed = true;
    this.#stopReaping();
    for (const held of this.#held.values()) stop(held);
    this.#held.clear();
  }

  /** Registers, in place of whatever has its id; checks that are the same keep what they say. `maintenance`: draining from the first moment. */
  register({ endpoint, mark, checks }: ParsedRegistration): Promise<void> {
    return this.#inTurn(endpoint.id, async () => {
      this.#assertOwnChecks(endpoint.id, mark);
      const before = this.#held.get(endpoint.id);
      const states = new Map<string, CheckState>();
      for (const { definition, status } of checks) {
        if (definition.kind !== "ttl") continue;
        const old = before?.checks.get(definition.id);
        const kept =
          old !== undefined && old.definition.ttlMs === definition.ttlMs && status === undefined ? old : null;
        states.set(definition.id, {
          definition,
          status: kept?.status ?? status ?? "critical",
          output: kept?.output ?? "",
          cancel: ignore,
        });
      }
      await this.#hold(endpoint, mark, states, this.#view.get(endpoint.id)?.health === "draining");
      if (checks.some(({ definition, status }) => definition.kind !== "ttl" && status === "critical"))
        await this.#registry.setHealth(endpoint.id, "unhealthy", "registered as critical", "check");
    });
  }

  /** The same endpoint with other checks. */
  change(endpoint: Endpoint, mark: Mark, status?: { id: string; status: CheckStatus }): Promise<void> {
    return this.#inTurn(endpoint.id, async () => {
      this.#assertOwnChecks(endpoint.id, mark);
      await this.#hold(
        endpoint,
        mark,
        this.#statesOf(endpoint, mark, status),
        this.#view.get(endpoint.id)?.health === "draining",
      );
    });
  }

  /** Rejects `not_found` for what is not there. */
  deregister(id: string): Promise<void> {
    return this.#inTurn(id, () => this.#remove(id));
  }

  /** What a TTL check says from now on. Rejects `not_found` for a check that is not known, `invalid_argument` for one that is run here. */
  async update(checkId: string, status: CheckStatus, output: string): Promise<void> {
    const found = this.checkById(checkId);
    if (found === null)
      throw unknown(
        `Unknown check ID ${JSON.stringify(checkId.slice(0, 128))}. Ensure that the check ID is passed, not the check name.`,
      );
    if (found.check.kind !== "ttl")
      throw bad(`${JSON.stringify(checkId)} is no TTL check: the control plane runs it`, "CheckID");
    await this.#inTurn(found.id, async () => {
      const held = (await this.#heldStill(found.id)) ?? (await this.#claim(found.id));
      const state = held.checks.get(checkId);
      if (state === undefined) throw unknown(`Unknown check ID ${JSON.stringify(checkId)}`);
      const told = printable(output, MAX_OUTPUT);
      const changed = state.status !== status || state.output !== told;
      state.status = status;
      state.output = told;
      this.#arm(held, state);
      await this.#sayHealth(held);
      if (changed) this.#view.touch(held.endpoint.service);
    });
  }

  /** Takes a service out of rotation until it is told otherwise. */
  maintain(id: string, enable: boolean, reason: string): Promise<void> {
    return this.#inTurn(id, async () => {
      if (this.#view.get(id) === undefined) throw unknown(`Unknown service ID ${JSON.stringify(id.slice(0, 128))}`);
      const held = this.#held.get(id);
      const health = enable ? "draining" : held === undefined ? "healthy" : healthOf(held);
      await this.#registry.setHealth(id, health, printable(reason, 256) || "maintenance");
      if (held !== undefined) held.said = health;
    });
  }

  /** The endpoint that has a check of this id. */
  checkById(checkId: string): { id: string; check: CheckDefinition; mark: Mark } | null {
    const id = this.#view.ofCheck(checkId);
    const mark = id === undefined ? undefined : this.#view.marks.get(id);
    const check = mark?.checks.find((one) => one.id === checkId);
    if (id !== undefined && mark !== undefined && check !== undefined) return { id, check, mark };
    return null;
  }

  /** What a check says. */
  statusOf(endpoint: Endpoint, check: CheckDefinition): { status: CheckStatus; output: string } {
    const held = this.#held.get(endpoint.id);
    const own = held?.checks.get(check.id);
    if (own !== undefined) return own;
    if (endpoint.health !== "unhealthy") return { status: "passing", output: "" };
    // Unhealthy by another check than this.
    if (held !== undefined && healthOf(held) === "unhealthy" && check.kind !== "ttl")
      return { status: "passing", output: "" };
    return { status: "critical", output: check.kind === "ttl" ? "" : this.#checkMessage(endpoint.id) };
  }

  async #hold(endpoint: Endpoint, mark: Mark, checks: Map<string, CheckState>, draining: boolean): Promise<Held> {
    if (!this.#held.has(endpoint.id) && this.#held.size >= this.#maxRegistrations) {
      const message = `${this.#held.size} services are registered by this API, which is its limit`;
      throw new WeftError("resource_exhausted", message, { reason: "TOO_MANY_REGISTRATIONS" });
    }
    const health = draining ? "draining" : worst(checks.values());
    const leaseMs = leasePeriod(mark);
    const lease = await this.#registry.register({ ...endpoint, health }, leaseMs);
    const before = this.#held.get(endpoint.id);
    if (before !== undefined) stop(before);
    const held: Held = { endpoint, mark, lease, leaseMs, checks, said: health, cancel: ignore };
    if (this.#closed) return held;
    this.#held.set(endpoint.id, held);
    for (const state of checks.values()) this.#arm(held, state);
    this.#renewLater(held);
    return held;
  }

  /** What is held of an endpoint, and is not another control plane's by now, or its process's own. What has ended is registered again. */
  async #heldStill(id: string): Promise<Held | undefined> {
    const held = this.#held.get(id);
    if (held === undefined) return undefined;
    try {
      await held.lease.renew();
    } catch (thrown) {
      const { code, reason } = toWeftError(thrown);
      if (code !== "not_found") return held; // the registry is away
      stop(held);
      this.#held.delete(id);
      if (reason === "LEASE_REPLACED") return undefined;
      return this.#hold(held.endpoint, held.mark, held.checks, held.said === "draining");
    }
    return held;
  }

  /** Takes over what was registered at another control plane, or before this one restarted. */
  async #claim(id: string): Promise<Held> {
    const endpoint = this.#view.get(id);
    const mark = this.#view.marks.get(id);
    if (endpoint === undefined || mark === undefined) throw unknown(`Unknown service ID ${JSON.stringify(id)}`);
    return this.#hold(endpoint, mark, this.#statesOf(endpoint, mark), endpoint.health === "draining");
  }

  #statesOf(endpoint: Endpoint, mark: Mark, status?: { id: string; status: CheckStatus }): Map<string, CheckState> {
    const held = this.#held.get(endpoint.id);
    const states = new Map<string, CheckState>();
    for (const definition of mark.checks) {
      if (definition.kind !== "ttl") continue;
      const known = held?.checks.get(definition.id);
      const told =
        status?.id === definition.id ? { status: status.status, output: "" } : this.statusOf(endpoint, definition);
      states.set(definition.id, {
        definition,
        status: told.status,
        output: known === undefined ? told.output : known.output,
        cancel: ignore,
      });
    }
    return states;
  }

  async #remove(id: string): Promise<void> {
    const held = this.#held.get(id);
    const endpoint = this.#view.get(id);
    if (held === undefined && endpoint === undefined)
      throw unknown(
        `Unknown service ID ${JSON.stringify(id.slice(0, 128))}. Ensure that the service ID is passed, not the service name.`,
      );
    if (held !== undefined) {
      this.#held.delete(id);
      stop(held);
      await held.lease.release();
    }
    // Of another control plane, or of an earlier run.
    await removeEndpoint(this.#registry, id).catch((thrown: unknown) => {
      if (toWeftError(thrown).code !== "not_found" || held === undefined) throw thrown;
    });
  }

  #assertOwnChecks(id: string, mark: Mark): void {
    for (const check of mark.checks) {
      const other = this.checkById(check.id);
      if (other !== null && other.id !== id)
        throw bad(`${JSON.stringify(check.id)} is a check of ${JSON.stringify(other.id)} already`, "CheckID");
    }
  }

  #arm(held: Held, state: CheckState): void {
    state.cancel();
    const { ttlMs } = state.definition;
    if (ttlMs === undefined) return;
    const cancel = this.#clock.after(ttlMs, () => {
      if (state.status === "critical" && state.output !== "") return;
      void this.#inTurn(held.endpoint.id, async () => {
        // Somebody said how it is while this waited for its turn, here or at another control plane.
        if (state.cancel !== cancel) return;
        const still = await this.#heldStill(held.endpoint.id);
        if (still?.checks.get(state.definition.id) !== state) return;
        state.status = "critical";
        state.output = `TTL expired${state.output === "" ? "" : ` (last output before it: ${state.output})`}`.slice(
          0,
          MAX_OUTPUT,
        );
        await this.#sayHealth(still);
        this.#view.touch(held.endpoint.service);
      }).catch((thrown) => this.#failed(held, thrown));
    });
    state.cancel = cancel;
  }

  async #sayHealth(held: Held): Promise<void> {
    const health = healthOf(held);
    if (health === held.said || this.#view.get(held.endpoint.id)?.health === "draining") return;
    const critical = [...held.checks.values()].find(({ status }) => status === "critical");
    const reason =
      critical === undefined ? "its checks pass" : `${critical.definition.id}: ${critical.output || "critical"}`;
    await this.#registry.setHealth(held.endpoint.id, health, printable(reason, 256));
    held.said = health;
  }

  #renewLater(held: Held): void {
    if (held.leaseMs === Number.POSITIVE_INFINITY) return;
    held.cancel = this.#clock.after(held.leaseMs / 3, () => {
      held.lease.renew().then(
        () => this.#held.get(held.endpoint.id) === held && this.#renewLater(held),
        (thrown) => {
          if (this.#held.get(held.endpoint.id) !== held) return;
          if (toWeftError(thrown).code !== "not_found") return this.#renewLater(held); // the registry is away
          void this.#inTurn(held.endpoint.id, () => this.#heldStill(held.endpoint.id)).catch((error) =>
            this.#failed(held, error),
          );
        },
      );
    });
  }

  #reapLater(): void {
    this.#stopReaping = this.#clock.after(REAP_EVERY_MS, () => {
      this.#reap();
      if (!this.#closed) this.#reapLater();
    });
  }

  #reap(): void {
    const now = this.#clock.now();
    const critical = new Set<string>();
    for (const [id, mark] of this.#view.marks) {
      for (const check of mark.checks) {
        if (check.reapMs === undefined) continue;
        const endpoint = this.#view.get(id);
        if (endpoint === undefined || this.statusOf(endpoint, check).status !== "critical") continue;
        const key = `${id}\n${check.id}`;
        critical.add(key);
        const since = this.#criticalSince.get(key) ?? now;
        this.#criticalSince.set(key, since);
        if (now - since < check.reapMs) continue;
        this.#onError(
          `${id} is deregistered: its check ${check.id} was critical for ${Math.round((now - since) / 1_000)} s`,
        );
        this.deregister(id).catch((thrown) => {
          if (toWeftError(thrown).code !== "not_found")
            this.#onError(`${id} cannot be deregistered: ${toWeftError(thrown).message}`);
        });
      }
    }
    for (const key of this.#criticalSince.keys()) if (!critical.has(key)) this.#criticalSince.delete(key);
  }

  #failed(held: Held, thrown: unknown): void {
    this.#onError(`${held.endpoint.id}: ${toWeftError(thrown).message}`);
  }

  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#working.get(id) ?? Promise.resolve()).then(work, work);
    this.#working.set(id, result);
    const clear = (): void => {
      if (this.#working.get(id) === result) this.#working.delete(id);
    };
    result.then(clear, clear);
    return result;
  }
}

export interface ConsulAgentOptions {
  registry: Registry;
  view: ConsulView;
  clock: Clock;
  /** What the control plane's health checks said last of an endpoint. */
  checkMessage: (id: string) => string;
  onError: (message: string) => void;
  /** Default 10,000. */
  maxRegistrations?: number;
}

interface Held {
  /** Healthy. */
  readonly endpoint: Endpoint;
  readonly mark: Mark;
  readonly lease: Lease;
  readonly leaseMs: number;
  readonly checks: Map<string, CheckState>;
  /** The owner's word as it was said last. */
  said: Health;
  cancel: Cancel;
}

interface CheckState {
  readonly definition: CheckDefinition;
  status: CheckStatus;
  output: string;
  cancel: Cancel;
}

function stop(held: Held): void {
  held.cancel();
  for (const { cancel } of held.checks.values()) cancel();
}

function healthOf(held: Held): Health {
  return worst(held.checks.values());
}

/** Who is warned stays in rotation. */
function worst(checks: Iterable<CheckState>): Health {
  for (const { status } of checks) if (status === "critical") return "unhealthy";
  return "healthy";
}

/** Long enough for a control plane to restart and to hear of every check again. */
function leasePeriod({ checks }: Mark): number {
  const longest = Math.max(0, ...checks.map(({ ttlMs = 0 }) => ttlMs));
  return longest === 0 ? Number.POSITIVE_INFINITY : Math.min(3_600_000, Math.max(60_000, 2 * longest));
}

function ignore(): void {}

const REAP_EVERY_MS = 1_000;
const MAX_OUTPUT = 4_096;
