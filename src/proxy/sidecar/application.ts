import { HEALTH_CHECK_METADATA, type HealthCheck, resolveHealthCheck } from "../../call/health/health-check.ts";
import { HealthMachine } from "../../call/health/health-machine.ts";
import { createProber } from "../../call/health/probe.ts";
import { hostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Link, Registered } from "../../link/types.ts";
import { detectProtocol } from "../../net/detect-protocol.ts";
import type { PolicyRuntime } from "../../policy/runtime.ts";
import type { ReflectedContracts } from "./reflected-contracts.ts";

/** What the application speaks; "auto" finds out whether it takes HTTP/2. "tcp": whatever it is, it is carried as bytes. */
export type AppProtocol = "auto" | Spoken;
type Spoken = "http1" | "h2c" | "tcp";

export interface ApplicationOptions {
  host: string;
  port: number;
  protocol: AppProtocol;
  /** How it is checked: "tcp" (default), "http:/healthz", "grpc" or "grpc:SERVICE". */
  health: string;
  clock: Clock;
  policy: PolicyRuntime;
  link: Link | null;
  /** As whom it is registered: the sidecar's address and identity. */
  endpoint: Omit<Endpoint, "health">;
  onProblem(error: WeftError): void;
}

/**
 * The application beside the sidecar: found, registered, watched.
 *
 *     absent --passes its check--> [what it speaks, its contracts] --> registered, healthy <--> unhealthy
 *                                              ^-- asked again whenever it comes back: it may be another version
 *
 * The registry hears of the sidecar in its place: nobody calls the application itself.
 */
export class Application {
  readonly #options: ApplicationOptions;
  readonly #address: string;
  readonly #machine = new HealthMachine();
  #protocol: Spoken | null = null;
  #check: HealthCheck;
  #registered: Registered | null = null;
  #contracts: ReflectedContracts | null = null;
  /** It did not say in time what it serves: it is asked again with its next check. */
  #owesContracts = false;
  #stopped = false;
  #wake: () => void = () => {};
  readonly #met = Promise.withResolvers<void>();
  readonly #running: Promise<void>;

  constructor(options: ApplicationOptions) {
    this.#options = options;
    this.#address = hostPort(options.host, options.port);
    this.#check = this.#checkOf("http1");
    // Calls that come before it is known go to it as most would take them.
    options.policy.forwardTo({ ...options, protocol: options.protocol === "auto" ? "http1" : options.protocol });
    this.#running = this.#run();
  }

  /** Resolves when the application has been met for the first time, before anybody is told where it is. */
  get met(): Promise<void> {
    return this.#met.promise;
  }

  /** Null until the application has been met. */
  get protocol(): Spoken | null {
    return this.#protocol;
  }

  /** Why calls should not come yet; null when they may. */
  get notReady(): string | null {
    if (this.#protocol === null) return `the application at ${this.#address} does not answer yet`;
    return this.#machine.verdict === "healthy" ? null : `the application at ${this.#address} is unhealthy`;
  }

  /** New calls are to go elsewhere: the registry says so from now on. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#registered?.setHealth("draining", "the sidecar is stopping");
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
    await this.#registered?.release();
  }

  async #run(): Promise<void> {
    let prober = createProber(this.#endpoint("http1"), this.#check);
    let up = false;
    while (!this.#stopped) {
      const { outcome, message } = await prober.probe();
      if (this.#stopped) break;
      if (!up && this.#protocol === null) {
        if (outcome === "passed" || this.#check.kind === "grpc") up = await this.#meet();
        if (up) {
          prober.close();
          prober = createProber(this.#endpoint(this.#protocol ?? "http1"), this.#check);
        }
      } else {
        const verdict = this.#machine.probed(outcome, this.#check);
        if (verdict === "healthy" || (this.#owesContracts && outcome === "passed")) await this.#meet();
        if (verdict !== null) await this.#tell(verdict, message);
      }
      await this.#pause(up ? this.#check.intervalMs : FIRST_INTERVAL_MS);
    }
    prober.close();
  }

  /** It answers: what does it speak and serve? False: it went again. */
  async #meet(): Promise<boolean> {
    const { host, port, protocol: wanted, policy } = this.#options;
    const protocol = wanted === "auto" ? await detectProtocol(host, port, DETECT_MS) : wanted;
    if (protocol === null || this.#stopped) return false;
    if (protocol !== this.#protocol) {
      policy.forwardTo({ host, port, protocol });
      this.#check = this.#checkOf(protocol);
    }
    const contracts = protocol === "h2c" ? await this.#reflect() : null;
    if (this.#stopped) return false;
    this.#protocol = protocol;
    this.#met.resolve();
    await this.#register(contracts);
    return true;
  }

  async #reflect(): Promise<ReflectedContracts | null> {
    const { reflectContracts } = await import("./reflected-contracts.ts");
    try {
      const contracts = await reflectContracts(this.#address);
      this.#owesContracts = false;
      return contracts;
    } catch (thrown) {
      const { code, message } = toWeftError(thrown);
      const told = this.#owesContracts;
      this.#owesContracts = code === "unavailable" || code === "deadline_exceeded";
      if (told && this.#owesContracts) return this.#contracts;
      const text = `the contracts of the application at ${this.#address} cannot be asked for, so that nobody knows its methods: ${message}`;
      this.#options.onProblem(new WeftError(code, text, { reason: "NO_REFLECTION", cause: thrown }));
      return null;
    }
  }

  async #register(contracts: ReflectedContracts | null): Promise<void> {
    const { link, endpoint, onProblem } = this.#options;
    if (link === null || (this.#registered !== null && same(contracts, this.#contracts))) return;
    await this.#registered?.release();
    this.#registered = null;
    this.#contracts = contracts;
    const registration = {
      endpoint,
      contracts: contracts?.contracts ?? [],
      descriptors: contracts?.descriptors ?? null,
    };
    // A control plane that is away is waited for.
    while (!this.#stopped) {
      try {
        const registered = await link.register(registration);
        if (this.#stopped) await registered.setHealth("draining", "the sidecar is stopping").catch(() => {});
        this.#registered = registered;
        return;
      } catch (thrown) {
        const error = toWeftError(thrown);
        onProblem(new WeftError(error.code, `${endpoint.id} is not registered: ${error.message}`, { cause: error }));
        await this.#pause(error.code === "unavailable" ? 0 : RETRY_MS);
      }
    }
  }

  async #tell(health: "healthy" | "unhealthy", message: string): Promise<void> {
    const why = health === "healthy" ? "it passes its check" : `the application's check failed: ${message}`;
    await this.#registered?.setHealth(health, why).catch((error) => this.#options.onProblem(toWeftError(error)));
  }

  #endpoint(protocol: Spoken): Endpoint {
    const { host, port, health, endpoint } = this.#options;
    return { ...endpoint, host, port, protocol, health: "healthy", metadata: { [HEALTH_CHECK_METADATA]: health } };
  }

  #checkOf(protocol: Spoken): HealthCheck {
    return resolveHealthCheck(this.#endpoint(protocol), {});
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function same(one: ReflectedContracts | null, other: ReflectedContracts | null): boolean {
  if (one === null || other === null) return one === other;
  return Buffer.compare(one.descriptors, other.descriptors) === 0 && one.contracts.join() === other.contracts.join();
}

/** Until it was there for the first time, so that a system comes up quickly. */
const FIRST_INTERVAL_MS = 50;
/** An HTTP/1.1 server answers what it does not understand; who is silent is most often busy beginning, and what it is taken for it stays. */
const DETECT_MS = 5_000;
const RETRY_MS = 5_000;
