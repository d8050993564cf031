import { AtMost } from "../core/at-most.ts";
import type { Clock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { askAgain, isAway } from "./ask-again.ts";
import type { EndpointBackend, KeptEntry } from "./endpoint-backend.ts";
import type { EndpointEntry } from "./endpoint-value.ts";
import { outcomeUnknown } from "./outcome-unknown.ts";
import type { ConsistencyMode } from "./registry.ts";
import { registryClosed } from "./registry-errors.ts";

export interface BackendLineOptions {
  backend: EndpointBackend;
  mode: ConsistencyMode;
  clock: Clock;
  random: Random;
}

/** Asks a backend, again where it does not answer, for 5 s; no more writes at once than it takes. What is said then names the backend. */
export class BackendLine {
  readonly #options: BackendLineOptions;
  readonly #writes = new AtMost(MAX_WRITES);
  #reading: Promise<readonly KeptEntry[]> | null = null;
  #nextReading: Promise<readonly KeptEntry[]> | null = null;
  #closed = false;

  constructor(options: BackendLineOptions) {
    this.#options = options;
  }

  get(id: string): Promise<KeptEntry | null> {
    return this.#ask(() => this.#options.backend.get(id));
  }

  /** Everything in the backend. A reading serves all who asked before it began. */
  read(): Promise<readonly KeptEntry[]> {
    if (this.#reading !== null)
      return (this.#nextReading ??= this.#reading.then(ignore, ignore).then(() => this.#begin()));
    return this.#begin();
  }

  /** Puts a registration there, in place of what is there; `known`: its version, 0 if there is nothing, as far as is known. */
  put(entry: EndpointEntry, known: number): Promise<KeptEntry> {
    const { backend, mode } = this.#options;
    const { id } = entry.endpoint;
    let expected: number | null = known;
    /** With what an attempt was compared of which it is not known whether it was carried out. */
    let doubt: number | null = null;
    const attempt = async (givenUp: () => boolean): Promise<KeptEntry> => {
      for (;;) {
        if (expected === null) {
          const there = await backend.get(id);
          if (there?.entry.owner === entry.owner) return there; // of which something may have changed since
          expected = there?.version ?? 0;
          // If it was, somebody has replaced it since: to register again would undo what came later.
          const again = doubt === null || (doubt === expected && doubt !== 0);
          if (mode === "consistent" && !again) throw outcomeUnknown(id);
        }
        if (givenUp()) throw new WeftError("deadline_exceeded", "nobody waits for it any more");
        const at = expected;
        expected = null; // if it fails, or was not so, what is there has to be looked at
        try {
          const version = await backend.replace(entry, at);
          if (version !== null) return { entry, version };
        } catch (thrown) {
          if (!toWeftError(thrown).retryable) doubt = at;
          throw thrown;
        }
      }
    };
    return this.#writes.do(() => this.#ask(attempt));
  }

  /** As the backend's, once. Null where it did not answer, too: what was done then is found when it is looked at. */
  async replace(entry: EndpointEntry, expected: number): Promise<number | null> {
    try {
      return await this.#writes.do(() => this.#options.backend.replace(entry, expected));
    } catch (thrown) {
      if (isAway(toWeftError(thrown)) && !this.#closed) return null;
      throw this.said(thrown);
    }
  }

  remove(id: string, owner: string): Promise<void> {
    return this.#writes.do(() => this.#ask(() => this.#options.backend.remove(id, owner)));
  }

  /** What went wrong, as who asked is told. */
  said(thrown: unknown): WeftError {
    if (this.#closed) return registryClosed();
    const error = toWeftError(thrown);
    if (!isAway(error)) return error;
    const { backend, mode } = this.#options;
    const reason = mode === "consistent" ? "NOT_CONFIRMED" : "REGISTRY_AWAY";
    const text = `${backend.name} does not answer: ${error.message}`;
    return new WeftError("unavailable", text, { reason, cause: error });
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#options.backend.close();
  }

  #begin(): Promise<readonly KeptEntry[]> {
    this.#nextReading = null;
    const reading = this.#ask(() => this.#options.backend.read()).finally(() => {
      if (this.#reading === reading) this.#reading = null;
    });
    this.#reading = reading;
    return reading;
  }

  async #ask<T>(work: (givenUp: () => boolean) => Promise<T>): Promise<T> {
    const { clock, random } = this.#options;
    try {
      return await askAgain(work, { clock, random, timeoutMs: CALL_MS, stopped: () => this.#closed });
    } catch (thrown) {
      throw this.said(thrown);
    }
  }
}

/** What a person is told of it. */
export function away({ name }: EndpointBackend, cause: WeftError | null): WeftError {
  const text = `${cause?.message ?? `${name} does not answer`}; what is known stays in use`;
  return new WeftError("unavailable", text, { reason: "REGISTRY_AWAY", ...(cause !== null && { cause }) });
}

/** What a person is told of one that was never there. */
export function notThere({ name }: EndpointBackend, cause: WeftError | null): WeftError {
  const text = `${cause?.message ?? `${name} does not answer`}; is it running, and is the url right?`;
  return new WeftError("unavailable", text, { reason: "REGISTRY_AWAY", ...(cause !== null && { cause }) });
}

function ignore(): void {}

/** Of one thing that is asked, however often. */
const CALL_MS = 5_000;
const MAX_WRITES = 128;
