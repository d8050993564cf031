import {
  describeHealthCheck,
  HEALTH_CHECK_METADATA,
  type HealthCheck,
  type HealthCheckOptions,
  resolveHealthCheck,
} from "../call/health/health-check.ts";
import { HealthMachine } from "../call/health/health-machine.ts";
import { createProber, type Prober } from "../call/health/probe.ts";
import type { ProbeResult } from "../call/health/probe-result.ts";
import { type Cancel, type Clock, systemClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { IdentitySource } from "../core/identity.ts";
import { type Random, systemRandom } from "../core/random.ts";
import type { EndpointDelta, Registry, Watch } from "../registry/registry.ts";

export interface HealthCheckerOptions extends HealthCheckOptions {
  registry: Registry;
  clock?: Clock;
  random?: Random;
  /** Shown to endpoints that have identities. */
  identity?: IdentitySource;
  /** Makes what probes an endpoint. Default: real connections (probe.ts). */
  createProber?: (endpoint: Endpoint, check: HealthCheck, identity?: IdentitySource) => Prober;
  /** Probes on their way at once; more wait their turn. Default 256. */
  maxProbes?: number;
  /** Part of all endpoints (0..1) that may fail at once without being refused, and how many may in any case. Default 0.5 and 10. */
  protectionRatio?: number;
  protectionMinimum?: number;
  /** Asked right before something is recorded: whether this one still may, of several that could check. Default: always. */
  leads?: () => boolean;
}

/**
 * Checks every endpoint of a registry and records what it finds there (by "check"). New registrations are probed at once, then every interval with
 * a tenth of jitter, so that the probes of many endpoints spread. Endpoints that drain are left alone: their owner is taking them out.
 *
 * Protection: when more than half of all endpoints do not answer, the fault is more likely here (a cut network), so nobody else is taken out for
 * not answering until fewer do. A refused connection is an answer, and always counts.
 */
export class HealthChecker {
  readonly #options: HealthCheckerOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #maxProbes: number;
  readonly #checked = new Map<string, Checked>();
  /** Those that nothing is sent to (ttl): there may be very many, and of each only its id is kept. */
  readonly #passive = new Set<string>();
  readonly #queue: Checked[] = [];
  #probes = 0;
  /** Endpoints whose verdict is unhealthy for want of an answer. */
  #silent = 0;
  #watch: Watch | null = null;

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#maxProbes = options.maxProbes ?? 256;
  }

  /** Begins, or begins anew after close(). */
  start(): void {
    this.#watch?.close();
    this.#watch = this.#options.registry.watch(["*"], (delta) => this.#apply(delta));
  }

  close(): void {
    this.#watch?.close();
    this.#watch = null;
    this.#silent = 0;
    for (const checked of this.#checked.values()) checked.stop();
    this.#checked.clear();
    this.#passive.clear();
    this.#queue.length = 0;
  }

  /** Something says that the endpoint may be gone (its process's line broke): probe it now. */
  suspect(id: string): void {
    const checked = this.#checked.get(id);
    if (checked !== undefined) this.#probeSoon(checked);
  }

  /** For people: how the endpoint is checked and what the last probe said. */
  describe(id: string): { check: string; message: string } {
    const checked = this.#checked.get(id);
    if (checked === undefined) return { check: this.#passive.has(id) ? "ttl" : "", message: "" };
    return { check: describeHealthCheck(checked.check), message: checked.message };
  }

  #apply({ full, changed, removed }: EndpointDelta): void {
    if (full) {
      const present = new Set(changed.map(({ id }) => id));
      for (const id of this.#checked.keys()) if (!present.has(id)) this.#remove(id);
      for (const id of this.#passive) if (!present.has(id)) this.#passive.delete(id);
    }
    for (const { id } of removed) this.#remove(id);
    for (const endpoint of changed) this.#changed(endpoint);
  }

  #remove(id: string): void {
    this.#passive.delete(id);
    const checked = this.#checked.get(id);
    if (checked === undefined) return;
    this.#countSilent(checked, false);
    checked.stop();
    this.#checked.delete(id);
  }

  #countSilent(checked: Checked, silent: boolean): void {
    if (checked.silent === silent) return;
    checked.silent = silent;
    this.#silent += silent ? 1 : -1;
  }

  #tooManySilent(): boolean {
    const { protectionRatio = 0.5, protectionMinimum = 10 } = this.#options;
    return this.#silent > Math.max(protectionMinimum, protectionRatio * (this.#checked.size + this.#passive.size));
  }

  #changed(endpoint: Endpoint): void {
    let checked = this.#checked.get(endpoint.id);
    const check =
      endpoint.metadata[HEALTH_CHECK_METADATA] === "ttl" ? null : resolveHealthCheck(endpoint, this.#options);
    if (check === null || check.kind === "ttl") {
      if (checked !== undefined) this.#remove(endpoint.id);
      this.#passive.add(endpoint.id);
      return;
    }
    this.#passive.delete(endpoint.id);
    if (checked === undefined || !sameTarget(checked.endpoint, endpoint) || !sameCheck(checked.check, check)) {
      if (checked !== undefined) this.#remove(endpoint.id);
      checked = new Checked(
        endpoint,
        check,
        (this.#options.createProber ?? createProber)(endpoint, check, this.#options.identity),
      );
      // What an earlier run of this control plane found stays true until a probe says otherwise.
      if (endpoint.health === "unhealthy") checked.machine.verdict = "unhealthy";
      this.#checked.set(endpoint.id, checked);
      this.#probeSoon(checked);
      return;
    }
    checked.endpoint = endpoint;
    // Healthy, though the last verdict was not and nobody here changed it: it was registered again.
    if (endpoint.health === "healthy" && checked.machine.verdict === "unhealthy") {
      checked.machine.registered();
      this.#probeSoon(checked);
    } else if (checked.idle && endpoint.health !== "draining") {
      this.#probeSoon(checked);
    }
  }

  #probeSoon(checked: Checked): void {
    checked.cancelTimer();
    if (checked.endpoint.health === "draining" || checked.stopped) return;
    if (checked.probing) {
      checked.again = true;
      return;
    }
    checked.probing = true;
    if (this.#probes < this.#maxProbes) void this.#probe(checked);
    else this.#queue.push(checked);
  }

  async #probe(checked: Checked): Promise<void> {
    this.#probes++;
    const result = checked.stopped ? null : await checked.prober.probe();
    this.#probes--;
    const next = this.#queue.shift();
    if (next !== undefined) void this.#probe(next);
    checked.probing = false;
    if (checked.stopped || result === null) return;
    this.#probed(checked, result);
    if (checked.again) {
      checked.again = false;
      this.#probeSoon(checked);
    } else {
      const { intervalMs } = checked.check;
      checked.setTimer(
        this.#clock.after(intervalMs * (0.9 + 0.2 * this.#random.next()), () => this.#probeSoon(checked)),
      );
    }
  }

  #probed(checked: Checked, { outcome, message }: ProbeResult): void {
    checked.message = message;
    const { machine, endpoint, check } = checked;
    machine.probed(outcome, check);
    this.#countSilent(checked, machine.verdict === "unhealthy" && outcome === "failed");
    if (checked.silent && endpoint.health === "healthy" && this.#tooManySilent()) return;
    // Said again while the registry shows another health, which costs nothing where it is known: a registration may have crossed the verdict.
    if (machine.verdict === endpoint.health || endpoint.health === "draining") return;
    if (this.#options.leads?.() === false) return;
    const reason = machine.verdict === "healthy" ? "health check passes" : `health check: ${message}`;
    this.#options.registry.setHealth(endpoint.id, machine.verdict, reason, "check").catch(ignore); // gone meanwhile, or the registry closes
  }
}

/** One endpoint being checked. */
class Checked {
  endpoint: Endpoint;
  readonly check: HealthCheck;
  readonly prober: Prober;
  readonly machine = new HealthMachine();
  message = "";
  silent = false;
  probing = false;
  again = false;
  stopped = false;
  #timer: Cancel | null = null;

  constructor(endpoint: Endpoint, check: HealthCheck, prober: Prober) {
    this.endpoint = endpoint;
    this.check = check;
    this.prober = prober;
  }

  /** True when no probe is under way or planned (it was draining). */
  get idle(): boolean {
    return !this.probing && this.#timer === null;
  }

  setTimer(timer: Cancel): void {
    this.#timer = timer;
  }

  cancelTimer(): void {
    this.#timer?.();
    this.#timer = null;
  }

  stop(): void {
    this.stopped = true;
    this.cancelTimer();
    this.prober.close();
  }
}

function sameTarget(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port && a.protocol === b.protocol;
}

function sameCheck(a: HealthCheck, b: HealthCheck): boolean {
  return (Object.keys(a) as (keyof HealthCheck)[]).every((key) => a[key] === b[key]);
}

function ignore(): void {}
