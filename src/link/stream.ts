import type { Ack, AttachRequestSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Cancel } from "../core/clock.ts";
import type { WeftError } from "../core/errors.ts";
import { errorOf, lineDown } from "./errors.ts";
import { Outbox } from "./outbox.ts";

/** One stream to the control plane and what ends with it. */
export class Stream {
  readonly outbox = new Outbox<UpMessage>();
  readonly abort = new AbortController();
  readonly requests = new Map<bigint, Answered>();
  /** Services that it told of. */
  readonly told = new Set<string>();
  welcomed = false;
  /** Of its welcome. */
  challenge: Uint8Array = new Uint8Array(0);
  /** By what was proved who this process is; null: by nothing yet. */
  provenBy: unknown = null;
  silentBeats = 0;
  failure: WeftError | null = null;
  timer: Cancel = ignore;
  #expected: Cancel = ignore;
  readonly #stops: (() => void)[] = [];
  #requestId = 0n;

  /** Takes an id for a request. `done` gets null when the line breaks before the answer. */
  request(done: Answered): bigint {
    const requestId = ++this.#requestId;
    this.requests.set(requestId, done);
    return requestId;
  }

  /** Resolves with the acknowledgement; rejects with its error, or when the line breaks. */
  ask(message: (requestId: bigint) => UpMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      const requestId = this.request((ack) => {
        const error = ack === null ? lineDown() : errorOf(ack);
        error === null ? resolve() : reject(error);
      });
      this.outbox.push(message(requestId));
    });
  }

  /** Something is to be heard before this timer ends; the one before stands while nothing is. */
  expect(timer: Cancel): void {
    if (this.#expected === ignore) this.#expected = timer;
    else timer();
  }

  /** The other side has said something. */
  heard(): void {
    this.silentBeats = 0;
    this.#expected();
    this.#expected = ignore;
  }

  fail(failure: WeftError): void {
    this.failure = failure;
    this.abort.abort(failure);
  }

  onStop(stop: () => void): void {
    this.#stops.push(stop);
  }

  stop(): void {
    this.timer();
    this.heard();
    this.outbox.end();
    for (const stop of this.#stops) stop();
    for (const done of this.requests.values()) done(null);
    this.requests.clear();
  }
}

export type UpMessage = MessageInitShape<typeof AttachRequestSchema>;

/** Told of a request's acknowledgement; of null when the line broke before. */
export type Answered = (ack: Ack | null) => void;

function ignore(): void {}
