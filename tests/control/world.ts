import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDirectClient } from "../../src/call/direct.ts";
import { descriptorSetOf } from "../../src/contract/contract-set.ts";
import { Health } from "../../src/contract/gen/grpc/health/v1/health.ts";
import { Admin, Control } from "../../src/contract/gen/weft/control/v1/control.ts";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "../../src/control/control-plane.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import type { WeftError } from "../../src/core/errors.ts";
import { systemRandom } from "../../src/core/random.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openSqliteKeyValue } from "../../src/drivers/sqlite/sqlite-key-value.ts";
import { openSqliteRegistry } from "../../src/drivers/sqlite/sqlite-registry.ts";
import { createLink, type LinkOptions } from "../../src/link/link.ts";
import type { Link, Registration } from "../../src/link/types.ts";
import type { PolicyRuntime } from "../../src/policy/runtime.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";

/** A control plane, links to it and what they know, all of it closed by `close`. */
export class World {
  readonly folder = mkdtempSync(join(tmpdir(), "weft-control-"));
  plane: ControlPlane | null = null;
  readonly #closing: (() => Promise<unknown>)[] = [];

  /** With its state in `folder`. Checks are off unless asked for: most tests' endpoints do not exist. */
  async start(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
    const registry = options.registry ?? (await openSqliteRegistry({ file: join(this.folder, "registry.db") }));
    this.plane = await startControlPlane({
      dataDir: this.folder,
      defaultTtlMs: 3_000,
      health: { defaults: { kind: "ttl" } },
      ...(options.dataDir !== "" && { store: await openSqliteKeyValue({ file: join(this.folder, "store.db") }) }),
      ...options,
      registry,
    });
    return this.plane;
  }

  async startInMemory(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
    return this.start({ registry: createMemoryRegistry(), dataDir: "", ...options });
  }

  link(options: Partial<LinkOptions> = {}): Process {
    const policy = createPolicyRuntime({ random: systemRandom });
    const errors: WeftError[] = [];
    const link = createLink({
      address: this.plane?.address ?? "127.0.0.1:1",
      policy,
      backOff: { baseMs: 20, maxMs: 200 },
      onError: (error) => errors.push(error),
      ...options,
    });
    this.#closing.push(() => link.close());
    const endpoints = (service: string) => policy.describe(service, 0).map(({ endpoint }) => endpoint);
    return {
      link,
      policy,
      errors,
      endpoints,
      ids: (service) =>
        endpoints(service)
          .map(({ id }) => id)
          .sort(),
    };
  }

  admin() {
    const direct = createDirectClient(Admin, this.plane?.address ?? "");
    this.#closing.push(() => direct.close());
    return direct.client;
  }

  control() {
    const direct = createDirectClient(Control, this.plane?.address ?? "");
    this.#closing.push(() => direct.close());
    return direct.client;
  }

  onClose(close: () => Promise<unknown>): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await this.plane?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Process {
  readonly link: Link;
  readonly policy: PolicyRuntime;
  readonly errors: WeftError[];
  endpoints(service: string): Endpoint[];
  ids(service: string): string[];
}

/** A registration of `service` with the health contract for its contract. */
export function registrationOf(
  service: string,
  number = 1,
  part: Partial<Registration["endpoint"]> = {},
): Registration {
  return {
    endpoint: {
      id: `${service}-${number}`,
      service,
      host: "127.0.0.1",
      port: 9_000 + number,
      version: "v1",
      zone: "",
      weight: 1,
      protocol: "h2c",
      metadata: {},
      ...part,
    },
    contracts: ["grpc.health.v1.Health"],
    descriptors: descriptorSetOf([Health]),
  };
}

export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 5_000,
): Promise<number> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > withinMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - started;
}

export function unique(): string {
  return randomBytes(4).toString("hex");
}
