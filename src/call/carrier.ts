import { type Clock, systemClock } from "../core/clock.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import type { UpstreamPool } from "../net/types.ts";
import type { Query } from "../policy/machine/query.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import type { Head } from "../wire/head.ts";
import { CallTimer, type TimerOwner } from "./call-timer.ts";
import { CarriedRequest } from "./carried-request.ts";
import { Slab } from "./kept-body.ts";
import type { CallContext, CarriedCall, Carrier, Downstream } from "./types.ts";
import { WakeQueue } from "./wake-queue.ts";

export interface CarrierOptions {
  policy: PolicyRuntime;
  pool: UpstreamPool;
  /** Default: the system's. The same clock as the policy runtime's events are told in. */
  clock?: Clock;
  /** Default: a wheel of its own on `clock`. A process shares one. */
  timers?: TimerWheel;
  /** Request body bytes kept before a connection is there, and so the most that a slow connect holds of one call. Default 65,536. */
  maxKeptBytes?: number;
  /**
   * Asks the outside what policy wants to know (keys, external authorization, shared limits). Calls `answer` once, at any time; null when it
   * could not be had. Without it every query is answered with null at once, and policy's fail-open or fail-closed decides.
   */
  query?: (query: Query, answer: (result: unknown) => void) => void;
}

/** Makes the shell that carries calls. One serves all calls of a process; it holds no resources of its own. */
export function createCarrier(options: CarrierOptions): Carrier {
  return new CarrierState(options);
}

/** What calls share. Internal to call/. */
export class CarrierState implements Carrier {
  readonly policy: PolicyRuntime;
  readonly pool: UpstreamPool;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly maxKeptBytes: number;
  readonly query: CarrierOptions["query"];
  readonly slab = new Slab();
  readonly wakes = new WakeQueue();
  readonly #freeTimers: CallTimer[] = [];
  inFlight = 0;

  constructor(options: CarrierOptions) {
    this.policy = options.policy;
    this.pool = options.pool;
    this.clock = options.clock ?? systemClock;
    this.timers = options.timers ?? new TimerWheel(this.clock);
    this.maxKeptBytes = options.maxKeptBytes ?? 65_536;
    this.query = options.query;
  }

  begin(
    request: Head,
    extra: readonly string[] | null,
    context: CallContext,
    downstream: Downstream,
    fin: boolean,
  ): CarriedCall {
    const call = new CarriedRequest(this, request, extra, context, downstream, fin);
    call.begin();
    return call;
  }

  get readsMessages(): boolean {
    return this.policy.readsMessages;
  }

  /** A timer that is not scheduled. Timers go back with freeTimer, since nothing refers to a cancelled one. */
  takeTimer(owner: TimerOwner, id: number): CallTimer {
    const timer = this.#freeTimers.pop() ?? new CallTimer();
    timer.owner = owner;
    timer.id = id;
    return timer;
  }

  freeTimer(timer: CallTimer): void {
    this.timers.cancel(timer);
    timer.owner = null;
    timer.nextOfCall = null;
    if (this.#freeTimers.length < MAX_FREE_TIMERS) this.#freeTimers.push(timer);
  }
}

const MAX_FREE_TIMERS = 1_024;
