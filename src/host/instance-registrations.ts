import type { ControlLine } from "./types.ts";

type Registered = Awaited<ReturnType<ControlLine["register"]>>;

/**
 * Registrations of instances by the host, one of an id at a time. The process of an instance may end while its registration is on its way: then that is taken back when it got through, for
 * nobody else would, and the next process with that id registers after it.
 */
export class InstanceRegistrations {
  readonly #pending = new Map<string, Promise<unknown>>();

  /** Null: it is no longer wanted. Rejects as ControlLine.register does. */
  async register(
    line: ControlLine,
    endpoint: Parameters<ControlLine["register"]>[0],
    isWanted: () => boolean,
  ): Promise<Registered | null> {
    const { id } = endpoint;
    await this.#pending.get(id);
    if (!isWanted()) return null;
    const registering = line.register(endpoint).then(async (registered) => {
      if (isWanted()) return registered;
      await registered.release().catch(() => {}); // its lease ends by itself
      return null;
    });
    const pending = registering
      .catch(() => {})
      .then(() => {
        if (this.#pending.get(id) === pending) this.#pending.delete(id);
      });
    this.#pending.set(id, pending);
    return registering;
  }
}
