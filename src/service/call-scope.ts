import { AsyncLocalStorage } from "node:async_hooks";
import type { AnyHandler } from "./implementation.ts";
import type { ServerCallState } from "./server-call.ts";

/**
 * Which call is being served, for the calls that its handler makes: they inherit its deadline, cancellation, trace, request id and
 * lane. One for each runtime.
 *
 * AsyncLocalStorage costs about 0.2 us a call, so nothing is tracked until somebody needs it: the runtime's `connect` calls
 * `track()`. Calls that began before that are not seen.
 */
export class CallScope {
  #storage: AsyncLocalStorage<ServerCallState> | null = null;

  /** From now on calls are tracked. */
  track(): void {
    this.#storage ??= new AsyncLocalStorage();
  }

  /** The call being served here, undefined outside of one. */
  current(): ServerCallState | undefined {
    return this.#storage?.getStore();
  }

  /** Runs a handler as part of `call`. */
  invoke(call: ServerCallState, handler: AnyHandler, request: unknown): unknown {
    return this.#storage === null ? handler(request, call) : this.#storage.run(call, handler, request, call);
  }

  /** Runs `work` as part of `call`. */
  run<T>(call: ServerCallState, work: () => T): T {
    return this.#storage === null ? work() : this.#storage.run(call, work);
  }
}
