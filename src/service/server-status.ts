/**
 * Whether a server takes calls: what /readyz and gRPC health tell the outside.
 *
 *     starting --> serving --> draining
 *                    ^  |
 *                    |  v
 *                  unready        (setReady: the service says for itself that it cannot work now)
 */
export class ServerStatus {
  #state: ServerState = "starting";
  readonly #listeners = new Set<(state: ServerState) => void>();

  get state(): ServerState {
    return this.#state;
  }

  /** Moves to a state; nothing leaves "draining". */
  set(state: ServerState): void {
    if (state === this.#state || this.#state === "draining") return;
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  /** Tells every change until the returned function is called. */
  watch(listener: (state: ServerState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export type ServerState = "starting" | "serving" | "unready" | "draining";
