import { createSecurityQueries, type SecurityQueries } from "../call/queries/security-queries.ts";
import type { Query } from "../policy/machine/query.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Pump } from "./pump.ts";
import type { SimulateOptions } from "./types.ts";

/** Checks tokens, keys and passwords as the gateway does, with what the test gives in place of the environment and the network. */
export class SimulatedSecurity {
  readonly #events: EventQueue;
  readonly #pump: Pump;
  readonly #options: SimulateOptions;
  #queries: SecurityQueries | null = null;

  constructor(events: EventQueue, pump: Pump, options: SimulateOptions) {
    this.#events = events;
    this.#pump = pump;
    this.#options = options;
  }

  /** A promise of the answer, which takes no virtual time; null at once for what is not checked here. */
  answer(query: Query): unknown {
    const { env = {}, fetch } = this.#options;
    const { kind } = query;
    if (kind !== "token" && kind !== "secret" && !(kind === "session" && fetch !== undefined)) return null;
    const nowhere = (url: string): never => {
      throw new Error(`${url} is nowhere: give simulate a fetch`);
    };
    this.#queries ??= createSecurityQueries({
      clock: this.#events,
      env,
      fetch: (url, init) => this.#hold(async () => (fetch ?? nowhere)(url, init)),
    });
    const { handlers } = this.#queries;
    this.#pump.holding++;
    return new Promise((resolve) => {
      handlers[kind](query, (answer) => {
        this.#pump.holding--;
        resolve(answer);
      });
    });
  }

  /** Time stands still for it, also when no call waits: keys are fetched again by themselves. */
  async #hold(fetch: () => Promise<Response>): Promise<Response> {
    this.#pump.holding++;
    try {
      const response = await fetch();
      const body = await response.arrayBuffer();
      return new Response(body.byteLength === 0 ? null : body, response);
    } finally {
      // What is read of it is read by then.
      setImmediate(() => setImmediate(() => this.#pump.holding--));
    }
  }
}
