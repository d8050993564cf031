import type { Clock } from "../core/clock.ts";
import type { WeftError } from "../core/errors.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { BufferBudget } from "./buffer-budget.ts";
import type { CallScope } from "./call-scope.ts";
import type { InboundGates } from "./gated-plan.ts";
import type { LoadReporter } from "./load-reporter.ts";
import type { ServedCalls } from "./served-calls.ts";
import type { ServerCallState } from "./server-call.ts";

/** What the exchanges of one server share. */
export interface ServerEnvironment {
  readonly clock: Clock;
  /** Deadlines of the calls being served. */
  readonly wheel: TimerWheel;
  readonly scope: CallScope;
  readonly inFlight: InFlight;
  readonly served: ServedCalls;
  /** What callers that ask are told of the server's load; null where nobody is told. */
  readonly load: LoadReporter | null;
  /** Memory of requests that arrive in parts. */
  readonly buffers: BufferBudget;
  /** Policy's gates before the calls; null when nothing decides about them. */
  readonly gates: InboundGates | null;
  /** Callers come through a sidecar, which says who they are. */
  readonly behindSidecar?: boolean;
  /** Told about errors that callers see only as `internal`: exceptions of handlers, with their cause. */
  readonly onError: (error: WeftError, call: ServerCallState) => void;
}

/** Calls being served now; drain waits for it to be empty. */
export class InFlight {
  #count = 0;
  #waiting: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    if (this.#count > 0 || this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when no call is being served. */
  async empty(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
