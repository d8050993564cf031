import { WeftError } from "../core/errors.ts";

/** What a backend holds under ids and cannot be used as endpoints: told once each, until something else is there. */
export class UnusableEntries {
  readonly #tell: (error: WeftError) => void;
  /** By the version that was told. */
  readonly #told = new Map<string, number | bigint>();

  constructor(tell: (error: WeftError) => void) {
    this.#tell = tell;
  }

  /** `holder` begins the sentence: "etcd at 127.0.0.1:2379". */
  found(holder: string, id: string, version: number | bigint, why: string, cause?: unknown): void {
    if (this.#told.get(id) === version || this.#told.size >= MAX_TOLD) return;
    this.#told.set(id, version);
    const text = `${holder} holds no endpoint that can be used under ${JSON.stringify(id.slice(0, 128))}: ${why}`;
    this.#tell(new WeftError("failed_precondition", text, { reason: "BAD_ENDPOINT_VALUE", cause }));
  }

  /** What is there can be used. */
  forget(id: string): void {
    this.#told.delete(id);
  }
}

const MAX_TOLD = 1_000;
