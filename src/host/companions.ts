import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { adminSocketOf, drainEnvoy, envoyIsReady, envoyProcess } from "./envoy.ts";
import { KNOWN_FOLDER, type Launch } from "./launch.ts";
import type { Ports } from "./ports.ts";
import type { HostProcess, ProcessSpec } from "./process.ts";
import type { SystemUnit } from "./resolve-system.ts";
import { besideOf, SIDECAR_SUFFIX, type SidecarPorts, sidecarUnit } from "./sidecar.ts";

/** The sidecars of a host's instances: which ports each has, how Envoy is started in its place, and how one drains before its application ends. */
export class Companions {
  readonly #units = new Map<string, SystemUnit>();
  readonly #ports = new Map<string, Promise<SidecarPorts>>();
  /** By the sidecar's id: who waits for its end of draining. */
  readonly #draining = new Map<string, () => void>();
  readonly #clock: Clock;
  readonly #stateDir: string;
  readonly #free: Ports;

  constructor(units: readonly SystemUnit[], clock: Clock, stateDir: string, free: Ports) {
    this.#clock = clock;
    this.#stateDir = stateDir;
    this.#free = free;
    for (const unit of units) if (unit.sidecar !== null) this.#units.set(sidecarUnit(unit), unit);
  }

  /** The unit whose instances the instances of this one are sidecars of. */
  besides(unitName: string): SystemUnit | undefined {
    return this.#units.get(unitName);
  }

  /** The id of an instance's sidecar; undefined when it has none. */
  of(id: string): string | undefined {
    return this.#ports.has(id) && !id.endsWith(`-${SIDECAR_SUFFIX}`) ? `${id}-${SIDECAR_SUFFIX}` : undefined;
  }

  /** Undefined for what neither is a sidecar nor has one. Both get the same, and keep them over restarts: neither must be told of the other's. */
  async portsOf(id: string, unitName: string, unit: SystemUnit | undefined): Promise<SidecarPorts | undefined> {
    const main = this.besides(unitName) !== undefined ? besideOf(id) : unit?.sidecar == null ? null : id;
    if (main === null) return undefined;
    let ports = this.#ports.get(main);
    if (ports === undefined) this.#ports.set(main, (ports = this.#take(adminSocketOf(this.#stateDir, main))));
    return ports;
  }

  /** `spec`, or where that only prints what an Envoy is started with: that Envoy. */
  async processOf({ id, beside }: Launch, spec: ProcessSpec, stateDir: string): Promise<ProcessSpec> {
    if (beside?.sidecar?.proxy !== "envoy") return spec;
    return envoyProcess({ ...spec, channel: false }, join(stateDir, KNOWN_FOLDER, `${id}.envoy.json`));
  }

  /** False: it is no longer wanted. */
  async untilEnvoyReady({ adminSocket }: SidecarPorts, isWanted: () => boolean): Promise<boolean> {
    while (isWanted()) {
      if (await envoyIsReady(adminSocket)) return isWanted();
      await this.#wait(LOOK_EVERY_MS);
    }
    return false;
  }

  /** Resolves once the sidecar of `id` takes no more calls and those in flight are done, or it is gone. */
  async drain(id: string, unit: SystemUnit, process: HostProcess): Promise<void> {
    if (unit.sidecar?.proxy === "envoy") {
      const ports = await this.#ports.get(id);
      if (ports !== undefined) await drainEnvoy(ports.adminSocket, unit.drainMs, (ms) => this.#wait(ms));
      return;
    }
    const drained = Promise.withResolvers<void>();
    this.#draining.set(`${id}-${SIDECAR_SUFFIX}`, drained.resolve);
    process.send({ type: "weft:drain" });
    // It keeps to its drain time by itself; this is for one that hangs.
    const cancel = this.#clock.after(unit.drainMs, drained.resolve);
    await drained.promise;
    cancel();
  }

  /** True: it was about draining. */
  onMessage(id: string, message: unknown): boolean {
    if ((message as { type?: unknown } | null)?.type !== "weft:drained") return false;
    this.#drained(id);
    return true;
  }

  exited(id: string): void {
    this.#drained(id);
  }

  /** Of an instance that is gone, with its sidecar. */
  forget(id: string): void {
    const given = this.#ports.get(id);
    this.#ports.delete(id);
    void given?.then(
      ({ app, inbound, outbound, admin, dns }) => {
        for (const port of [app, inbound, outbound, admin, dns]) this.#free.release(port);
      },
      () => {}, // there were none
    );
  }

  async #take(adminSocket: string): Promise<SidecarPorts> {
    const next = (): Promise<number> => this.#free.take();
    const [app, inbound, outbound] = [await next(), await next(), await next()];
    return { app, inbound, outbound, admin: await next(), adminSocket, dns: await next() };
  }

  #drained(id: string): void {
    this.#draining.get(id)?.();
    this.#draining.delete(id);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}

const LOOK_EVERY_MS = 100;
