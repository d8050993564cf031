import { setTimeout as wait } from "node:timers/promises";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import { service } from "../../src/service/definition.ts";
import { createRuntime, type Runtime } from "../../src/service/runtime.ts";
import { type Server, serve } from "../../src/service/serve.ts";

/** Typed services and clients of a system whose control planes are hurt, with calls at a constant pace all the time. */
export class Load {
  readonly #runtimes: Runtime[] = [];
  readonly #servers: Server[] = [];
  readonly failures: string[] = [];
  calls = 0;
  /** The longest call since it was looked at last. */
  slowestMs = 0;
  #stopped = false;
  readonly #loops: Promise<void>[] = [];

  static async start(control: string, servers: number, clients: number): Promise<Load> {
    const load = new Load();
    const runtime = (name: string): Runtime => {
      const made = createRuntime({
        env: { WEFT_CONTROL: control, WEFT_SERVICE: name, WEFT_INSTANCE: `${name}-${load.#runtimes.length + 1}` },
      });
      load.#runtimes.push(made);
      return made;
    };
    for (let n = 0; n < servers; n++) {
      const counter = service(Counter, { count: ({ count }) => ({ count: count + 1n }) });
      load.#servers.push(await serve(counter, { port: 0, runtime: runtime("counter"), quiet: true }));
    }
    for (let n = 0; n < clients; n++) load.#loops.push(load.#call(runtime("caller")));
    return load;
  }

  get processes(): number {
    return this.#runtimes.length;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    for (const server of this.#servers) await server.stop(100);
    for (const runtime of this.#runtimes) await runtime.close();
  }

  async #call(runtime: Runtime): Promise<void> {
    const counter = runtime.connect(Counter, { service: "counter", timeoutMs: 2_000 });
    while (!this.#stopped) {
      const began = performance.now();
      try {
        await counter.count({ count: 1n });
      } catch (thrown) {
        this.failures.push(`${new Date().toISOString()} ${(thrown as Error).message}`);
      }
      this.calls++;
      this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
      await wait(20);
    }
  }
}
