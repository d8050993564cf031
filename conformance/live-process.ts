import assert from "node:assert/strict";
import { endpointOf } from "../src/registry/registry.case.ts";
import { createRuntime, type Runtime } from "../src/service/runtime.ts";
import { settings } from "../src/service/settings/settings.ts";

/** A process that uses the settings of orders, and endpoints of alpha, which one of them registers. */
export class LiveProcess {
  /** What was in use and is no more. */
  readonly went: string[] = [];
  readonly #runtime: Runtime;
  readonly #values: { readonly limit: number };
  readonly #ttlMs: number;
  readonly #looking: NodeJS.Timeout;

  /** `ttlMs`: of the lease of what it registers. */
  static async start(control: string, ttlMs: number, registers: boolean): Promise<LiveProcess> {
    const runtime = createRuntime({ env: {}, control, service: "orders" });
    const values = await settings<{ limit: number }>(
      { type: "object", properties: { limit: { type: "integer" } }, required: ["limit"] },
      { runtime },
    );
    const process = new LiveProcess(runtime, values, ttlMs);
    await process.follow("alpha");
    if (registers) await process.register("alpha");
    return process;
  }

  private constructor(runtime: Runtime, values: { readonly limit: number }, ttlMs: number) {
    this.#runtime = runtime;
    this.#ttlMs = ttlMs;
    this.#values = values;
    let saw = false;
    this.#looking = setInterval(() => {
      const sees = this.sees("alpha");
      if (saw && !sees) this.went.push("the endpoint");
      saw ||= sees;
      if (!(this.limit > 0)) this.went.push(`the value: ${this.limit}`);
    }, 2);
  }

  get limit(): number {
    return this.#values.limit;
  }

  sees(service: string): boolean {
    return this.#runtime.policy.describe(service, 0).length > 0;
  }

  async follow(service: string): Promise<void> {
    await this.#link().subscribe(service);
  }

  async register(service: string): Promise<void> {
    const { health: _, ...endpoint } = endpointOf(service, 1);
    await this.#link().register({ endpoint, contracts: [], descriptors: null, ttlMs: this.#ttlMs });
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    await this.#runtime.close();
  }

  #link() {
    const link = this.#runtime.link();
    assert.ok(link !== null);
    return link;
  }
}
