import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostPort } from "../core/address.ts";
import type { Cancel } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { parseTags, withTags } from "../core/endpoint-tags.ts";
import { WeftError } from "../core/errors.ts";
import { spiffeId } from "../core/identity.ts";
import { didYouMean } from "../core/suggest.ts";
import { Companions } from "./companions.ts";
import { Guard } from "./guard.ts";
import { InstanceRegistrations } from "./instance-registrations.ts";
import { joinTokenFor, type TokenKind } from "./join-tokens.ts";
import { lastWords } from "./last-words.ts";
import { addressOf, CONTROL_UNIT, DNS_UNIT, GATEWAY_UNIT, LOAD_UNIT, launchOf } from "./launch.ts";
import { namedPorts, Ports } from "./ports.ts";
import { probeFor, probePort } from "./probe.ts";
import { type HostProcess, startProcess } from "./process.ts";
import type { SystemUnit } from "./resolve-system.ts";
import { ServiceLogs } from "./service-logs.ts";
import { besideOf, sidecarsOf } from "./sidecar.ts";
import { SupervisorMachine } from "./supervisor-machine.ts";
import type { NoticeType, SupervisorPhase } from "./supervisor-types.ts";
import type { ControlLine, EndpointChange, Host, HostOptions, InstanceView, ListeningMessage } from "./types.ts";
import { unitSpecs } from "./unit-specs.ts";

/** Makes a host. Nothing runs before `start()`. */
export function createHost(options: HostOptions): Host {
  return new SystemHost(options);
}

class SystemHost implements Host {
  readonly done: Promise<{ failure: string | null }>;
  gateway: string | null = null;
  gatewayAdmin: string | null = null;
  dns: string | null = null;
  control: string | null = null;
  readonly #options: HostOptions;
  readonly #machine: SupervisorMachine;
  readonly #units = new Map<string, SystemUnit>();
  readonly #ports: Ports;
  readonly #companions: Companions;
  readonly #running = new Map<string, Running>();
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #logs: ServiceLogs;
  readonly #replacing = new Map<string, PromiseWithResolvers<void>>();
  readonly #registrations = new InstanceRegistrations();
  readonly #finished = Promise.withResolvers<{ failure: string | null }>();
  #guard: Guard | null = null;
  #line: ControlLine | null = null;
  #timer: Cancel | null = null;
  #stopTold = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.done = this.#finished.promise;
    this.#logs = new ServiceLogs(join(options.stateDir, "logs"), options.clock, (service, message) =>
      options.onEvent({ type: "log", id: service, unit: service, stream: "err", line: `log lost: ${message}` }),
    );
    for (const unit of options.system.units) this.#units.set(unit.name, unit);
    this.#ports = new Ports(namedPorts(options.system));
    this.#companions = new Companions(options.system.units, options.clock, options.stateDir, this.#ports);
    this.#machine = new SupervisorMachine(unitSpecs(options.system, options.load > 0), options.random);
  }

  get phase(): SupervisorPhase {
    return this.#machine.phase;
  }

  start(): void {
    mkdirSync(join(this.#options.stateDir, "data"), { recursive: true });
    writeFileSync(join(this.#options.stateDir, ".gitignore"), "*\n");
    this.#guard = new Guard();
    this.#apply((now) => this.#machine.start(now));
  }

  stop(): void {
    this.#apply((now) => this.#machine.stop(now));
  }

  async restart(name: string): Promise<void> {
    const units = this.#unitsNamed(name);
    for (const unit of units) {
      const pending = Promise.withResolvers<void>();
      this.#replacing.set(unit, pending);
      const accepted = this.#apply((now) => this.#machine.restart(unit, now));
      if (!accepted) {
        this.#replacing.delete(unit);
        const why =
          this.#machine.phase === "ready" ? "it is being replaced already" : `the system is ${this.#machine.phase}`;
        throw new WeftError("failed_precondition", `${unit} cannot be restarted now: ${why}`, { reason: "NOT_NOW" });
      }
      await pending.promise;
    }
  }

  instances(): readonly InstanceView[] {
    const views: InstanceView[] = [];
    const order = [...this.#units.keys()];
    const rank = (unit: string): number => {
      const at = order.indexOf(this.#companions.besides(unit)?.name ?? unit);
      return at < 0 ? order.length : at;
    };
    const sorted = [...this.#machine.instances].sort((a, b) => rank(a.unitName) - rank(b.unitName));
    for (const instance of sorted) {
      const unit = this.#units.get(instance.unitName);
      const running = this.#running.get(instance.id);
      const endpoint = this.#endpoints.get(instance.id);
      views.push({
        id: instance.id,
        service: this.serviceOf(instance.unitName),
        version: (unit ?? this.#companions.besides(instance.unitName))?.version ?? "",
        unit: instance.unitName,
        state: instance.state,
        health: endpoint?.health ?? (unit === undefined && instance.state === "ready" ? "healthy" : null),
        address:
          running === undefined
            ? ""
            : running.address || (endpoint === undefined ? "" : `${endpoint.host}:${endpoint.port}`),
        pid: running?.process?.pid ?? 0,
        restarts: instance.restarts,
        lastReason: instance.lastReason,
        sinceMs: Math.round(this.#options.clock.now() - instance.since),
      });
    }
    return views;
  }

  logFile(name: string): string {
    const [unit] = this.#unitsNamed(name);
    return this.#logs.path(this.serviceOf(unit));
  }

  serviceOf(unitName: string): string {
    const beside = this.#companions.besides(unitName);
    return beside === undefined ? (this.#units.get(unitName)?.service ?? unitName) : sidecarsOf(beside.service);
  }

  // --- the machine's shell --------------------------------------------------------------------------------------

  /** Gives the machine one event, then carries out what follows from it. */
  #apply<T>(event: (now: number) => T): T {
    const { clock } = this.#options;
    const answer = event(clock.now());
    for (const effect of this.#machine.take()) {
      switch (effect.kind) {
        case "spawn":
          this.#spawn(effect.id, effect.unit);
          break;
        case "terminate":
          this.#terminate(effect.id);
          break;
        case "kill":
          this.#kill(effect.id);
          break;
        case "ready":
          this.#options.onEvent({ type: "system-ready", gateway: this.gateway });
          break;
        case "stopped":
          void this.#finish();
          break;
        case "notice":
          this.#notice(effect.type, effect.unit, effect.id, effect.text, effect.delayMs);
          break;
      }
    }
    if (this.#machine.phase === "stopping" && !this.#stopTold) {
      this.#stopTold = true;
      this.#options.onEvent({ type: "stopping", reason: this.#machine.failure });
    }
    this.#timer?.();
    this.#timer = null;
    const { wakeAt } = this.#machine;
    if (wakeAt !== Number.POSITIVE_INFINITY)
      this.#timer = clock.after(Math.max(0, wakeAt - clock.now()), () => this.#apply((now) => this.#machine.tick(now)));
    return answer;
  }

  #notice(type: NoticeType, unit: string, id: string, text: string, delayMs: number): void {
    this.#options.onEvent({ type, id, unit, text, delayMs });
    if (type !== "starting" && type !== "ready" && id !== "") this.#log(unit, `${id} ${text}`);
    if (type !== "replaced" && type !== "replace-failed") return;
    const pending = this.#replacing.get(unit);
    this.#replacing.delete(unit);
    if (type === "replaced") pending?.resolve();
    else pending?.reject(new WeftError("failed_precondition", text, { reason: "NOT_REPLACED" }));
  }

  #spawn(id: string, unitName: string): void {
    const running: Running = {
      id,
      unitName,
      process: null,
      address: "",
      cancelled: false,
      failure: null,
      lastErrors: [],
      registered: null,
      port: 0,
      ownPort: 0,
    };
    this.#running.set(id, running);
    void this.#start(running).catch((error: unknown) => {
      const failure = error instanceof Error ? error.message : String(error);
      if (running.process === null) return this.#exited(running, failure);
      if (running.cancelled) return; // it ends anyway
      running.failure = failure;
      running.process.kill();
    });
  }

  async #start(running: Running): Promise<void> {
    const { unitName } = running;
    const unit = this.#units.get(unitName);
    const beside = this.#companions.besides(unitName);
    const ports = await this.#companions.portsOf(running.id, unitName, unit);
    if (ports !== undefined) running.port = ports.app;
    else if (unit?.register === "host") running.port = running.ownPort = await this.#ports.take();
    const { control, gateway, gatewayAdmin, dns } = this;
    const launch = {
      id: running.id,
      unitName,
      unit,
      port: running.port,
      control,
      gateway,
      gatewayAdmin,
      dns,
      beside,
      ports,
    };
    const spec = await this.#companions.processOf(
      launch,
      launchOf(launch, { ...this.#options, joinToken: this.#joinToken }),
      this.#options.stateDir,
    );
    if (running.cancelled) return this.#exited(running, "was not started");
    const child = startProcess(spec, {
      onLine: (stream, line) => this.#onLine(running, stream, line),
      onMessage: (message) => this.#onMessage(running, message),
      onExit: (reason) => this.#exited(running, running.failure ?? reason),
    });
    running.process = child;
    this.#guard?.watch(child.pid);
    // A load driver serves nothing: it is as ready as it gets.
    if (unitName === LOAD_UNIT) setImmediate(() => this.#apply((now) => this.#machine.ready(running.id, now)));
    if (beside?.sidecar?.proxy === "envoy" && ports !== undefined) {
      running.address = hostPort("127.0.0.1", ports.inbound);
      const isCurrent = (): boolean => this.#running.get(running.id) === running && !running.cancelled;
      if (await this.#companions.untilEnvoyReady(ports, isCurrent))
        this.#apply((now) => this.#machine.ready(running.id, now));
    }
    if (unit !== undefined && isRegisteredByHost(unit))
      await this.#registerWhenListening(running, unit, ports?.inbound ?? running.port);
  }

  /** `port`: where calls to it go, its own or its Envoy's. */
  async #registerWhenListening(running: Running, unit: SystemUnit, port: number): Promise<void> {
    for (;;) {
      if (this.#running.get(running.id) !== running || running.cancelled) return;
      const protocol =
        unit.protocol === null ? await probePort(running.port) : await probeFor(unit.protocol, running.port);
      if (protocol !== null && this.#line !== null && this.#running.get(running.id) === running) {
        const metadata = withTags({}, parseTags(unit.env.WEFT_TAGS ?? "") ?? []);
        const address = { host: "127.0.0.1", port, protocol, zone: "", weight: 1, metadata };
        // An Envoy proves who the service is; weft's own sidecars register themselves.
        const { name } = this.#options.system;
        const identity = unit.sidecar?.proxy === "envoy" ? { identity: spiffeId(name, unit.service) } : {};
        const endpoint = { ...identity, id: running.id, service: unit.service, version: unit.version, ...address };
        const isWanted = (): boolean => this.#running.get(running.id) === running && !running.cancelled;
        running.registered = await this.#registrations.register(this.#line, endpoint, isWanted);
        return this.#readyIfHealthy(running.id);
      }
      await new Promise<void>((resolve) => this.#options.clock.after(PROBE_EVERY_MS, resolve));
    }
  }

  #terminate(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.cancelled = true;
    if (running.unitName === CONTROL_UNIT && this.#machine.phase === "stopping") void this.#line?.close();
    const terminate = (): void => running.process?.terminate();
    const sidecar = this.#companions.of(id);
    const drain = (): void => {
      const unit = this.#units.get(running.unitName);
      const process = sidecar === undefined ? null : (this.#running.get(sidecar)?.process ?? null);
      // First its sidecar takes no more calls; what the application itself calls meanwhile still goes through it.
      if (unit?.sidecar == null || process === null) terminate();
      else void this.#companions.drain(id, unit, process).then(terminate);
    };
    // Nobody must be sent there while it drains; a process that registers itself sees to that itself.
    if (running.registered !== null) void running.registered.release().then(drain, drain);
    else drain();
  }

  #kill(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.cancelled = true;
    running.process?.kill();
  }

  #exited(running: Running, reason: string): void {
    if (this.#running.get(running.id) !== running) return;
    this.#running.delete(running.id);
    this.#endpoints.delete(running.id);
    if (running.process !== null) this.#guard?.forget(running.process.pid);
    this.#companions.exited(running.id);
    if (running.ownPort !== 0) this.#ports.release(running.ownPort);
    void running.registered?.release().catch(() => {});
    const last =
      running.cancelled || WORDLESS.has(reason) ? "" : lastWords(running.lastErrors, this.#options.system.dir);
    this.#apply((now) => this.#machine.exited(running.id, last === "" ? reason : `${reason}: ${last}`, now));
    if (this.#companions.besides(running.unitName) !== undefined && this.#machine.instance(running.id) === undefined)
      this.#companions.forget(besideOf(running.id));
  }

  // --- what processes tell --------------------------------------------------------------------------------------

  #onLine(running: Running, stream: "out" | "err", line: string): void {
    if (stream === "err") {
      running.lastErrors.push(line);
      if (running.lastErrors.length > KEPT_ERRORS) running.lastErrors.shift();
    }
    this.#log(running.unitName, `${running.id} ${line}`);
    this.#options.onEvent({ type: "log", id: running.id, unit: running.unitName, stream, line });
  }

  #onMessage(running: Running, message: unknown): void {
    if (this.#companions.onMessage(running.id, message) || !isListening(message)) return;
    running.address = addressOf(message.url) ?? "";
    if (this.#companions.besides(running.unitName) !== undefined) {
      // It listens for its application.
    } else if (running.unitName === GATEWAY_UNIT) {
      this.gateway = message.url;
      this.gatewayAdmin = message.admin;
    } else if (running.unitName === DNS_UNIT) this.dns = message.url;
    else this.control = message.url;
    const ready = (): void => this.#apply((now) => this.#machine.ready(running.id, now));
    if (running.unitName !== CONTROL_UNIT || this.#line !== null) return ready();
    void this.#openLine(message.url).then(ready, (error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      this.#apply((now) => this.#machine.fail(text, now));
    });
  }

  async #openLine(address: string): Promise<void> {
    const line = await this.#options.openControl(address, (change) => this.#onEndpoints(change));
    this.#line = line;
    await line.publish(this.#options.system);
  }

  #onEndpoints(change: EndpointChange): void {
    if (change.full) {
      const present = new Set(change.changed.map((endpoint) => endpoint.id));
      for (const id of [...this.#endpoints.keys()]) if (!present.has(id)) this.#endpoints.delete(id);
    }
    for (const { id } of change.removed) this.#endpoints.delete(id);
    for (const endpoint of change.changed) {
      this.#endpoints.set(endpoint.id, endpoint);
      this.#readyIfHealthy(endpoint.id);
    }
  }

  /** Of what this process registered: of the one before it may be told late. */
  #readyIfHealthy(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined || this.#endpoints.get(id)?.health !== "healthy") return;
    const unit = this.#units.get(running.unitName);
    if (unit !== undefined && isRegisteredByHost(unit) && running.registered === null) return;
    this.#apply((now) => this.#machine.ready(id, now));
  }

  // --- logs and the end -----------------------------------------------------------------------------------------

  #log(unitName: string, line: string): void {
    this.#logs.write(this.serviceOf(unitName), line);
  }

  readonly #joinToken = (service: string, kind: TokenKind): string => {
    const { system, stateDir } = this.#options;
    return joinTokenFor(service, system.name, stateDir, kind);
  };

  #unitsNamed(name: string): string[] {
    const specs = unitSpecs(this.#options.system, this.#options.load > 0).map((spec) => spec.name);
    const units = specs.filter((unit) => unit === name || this.serviceOf(unit) === name);
    if (units.length > 0) return units;
    const known = new Set(specs.map((unit) => this.serviceOf(unit)));
    throw new WeftError(
      "not_found",
      `there is no service "${name}"${didYouMean(name, [...known]) || `; there are ${[...known].join(", ")}`}`,
      {
        reason: "NO_SUCH_SERVICE",
      },
    );
  }

  async #finish(): Promise<void> {
    this.#timer?.();
    this.#timer = null;
    for (const pending of this.#replacing.values())
      pending.reject(new WeftError("cancelled", "the system stops", { reason: "STOPPING" }));
    this.#replacing.clear();
    await this.#line?.close().catch(() => {});
    this.#guard?.close();
    this.#logs.close();
    const { failure } = this.#machine;
    this.#options.onEvent({ type: "stopped", failure });
    this.#finished.resolve({ failure });
  }
}

/** A process, from before its start until after its end. */
interface Running {
  readonly id: string;
  readonly unitName: string;
  process: HostProcess | null;
  /** Where one of weft's own processes listens. */
  address: string;
  /** It was asked to end. */
  cancelled: boolean;
  /** What its process was ended for, by us. */
  failure: string | null;
  readonly lastErrors: string[];
  registered: { release(): Promise<void> } | null;
  /** The port it was told to listen on; 0 lets it choose. */
  port: number;
  /** The same, where it is nobody else's when the process has ended; those of sidecars and what is beside them outlive it. */
  ownPort: number;
}

/** weft's own sidecar registers its application. */
function isRegisteredByHost({ sidecar, register }: SystemUnit): boolean {
  return sidecar === null ? register === "host" : sidecar.proxy === "envoy";
}

/** What was printed last does not say why: it was asked to end, or killed from outside. */
const WORDLESS = new Set(["exit status 0", "killed by SIGKILL"]);
const KEPT_ERRORS = 30;
const PROBE_EVERY_MS = 100;

function isListening(message: unknown): message is ListeningMessage {
  return typeof message === "object" && message !== null && (message as { type?: unknown }).type === "weft:listening";
}
