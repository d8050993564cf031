import { failure } from "./answer.ts";
import type { SimAttempt } from "./attempt.ts";
import type { CarriedCall } from "./carried-call.ts";
import type { Replica } from "./replica.ts";
import type { ServiceCall, ServiceModel } from "./types.ts";

/** Makes a call for an attempt that a replica serves; `ended` is told its result. */
export type CallOn = (
  attempt: SimAttempt,
  replica: Replica,
  to: { service: string; request: string },
  ended: (status: number, grpcStatus: number) => void,
) => CarriedCall;

/**
 * The calls to other services that one attempt needs: one after the other, those of an inner list at once. `then` goes on when all that matter have
 * succeeded; otherwise the attempt fails as the first of them did (a time-out stays one, anything else is 503, unavailable).
 */
export class Onward {
  readonly #attempt: SimAttempt;
  readonly #replica: Replica;
  readonly #steps: NonNullable<ServiceModel["calls"]>;
  readonly #callOn: CallOn;
  readonly #then: () => void;
  readonly #open = new Set<CarriedCall>();
  #step = 0;
  #stopped = false;

  constructor(attempt: SimAttempt, replica: Replica, callOn: CallOn, then: () => void) {
    this.#attempt = attempt;
    this.#replica = replica;
    this.#steps = replica.model.calls ?? [];
    this.#callOn = callOn;
    this.#then = then;
  }

  start(): void {
    this.#attempt.stopServing = () => this.#stop();
    this.#next();
  }

  #next(): void {
    if (this.#step >= this.#steps.length) {
      this.#then();
      return;
    }
    const step = this.#steps[this.#step++];
    const calls = (Array.isArray(step) ? step : [step]) as readonly ServiceCall[];
    let left = calls.length;
    if (left === 0) this.#next();
    for (const each of calls) {
      if (this.#stopped) return;
      const {
        service,
        request = `GET /${service}`,
        optional = false,
      } = typeof each === "string" ? { service: each } : each;
      const call = this.#callOn(this.#attempt, this.#replica, { service, request }, (status, grpcStatus) => {
        this.#open.delete(call);
        if (this.#stopped) return;
        if ((status >= 400 || grpcStatus > 0) && !optional) this.#fail(status === 504 || grpcStatus === 4);
        else if (--left === 0) this.#next();
      });
      this.#open.add(call);
      call.begin();
    }
  }

  #fail(timedOut: boolean): void {
    this.#stop();
    this.#replica.answer(this.#attempt, timedOut ? failure(504) : failure(503));
  }

  #stop(): void {
    this.#stopped = true;
    for (const call of [...this.#open]) call.cancel();
    this.#open.clear();
  }
}
