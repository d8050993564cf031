import type { Client } from "../call/client-types.ts";
import { Algorithm, type Fleet, type LeaseAskSchema } from "../contract/gen/weft/control/v1/fleet.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";
import { LeasedLimits } from "../policy/limit/leased-limits.ts";
import type { LeaseAsk, LeaseGrant } from "../policy/limit/limit-grantor.ts";
import type { SharedLimitAnswer, SharedLimitRequest, SharedLimits } from "../policy/limit/shared-limit.ts";

export interface LimitLineOptions {
  /** Of the control plane that is used at the moment. */
  client: () => Client<typeof Fleet>;
  /** Unique to this run of the process. */
  process: string;
  clock: Clock;
}

/** Limits of the whole system in leases from the control plane: what is asked for in one turn of the event loop goes in one request. */
export class LimitLine implements SharedLimits {
  readonly #options: LimitLineOptions;
  readonly #limits: LeasedLimits;
  #waiting: Waiting[] = [];
  #closed = false;

  constructor(options: LimitLineOptions) {
    this.#options = options;
    this.#limits = new LeasedLimits(
      options.process,
      (ask, reply) => this.#ask(ask, reply),
      () => options.clock.now(),
    );
  }

  take(request: SharedLimitRequest, answer: (answer: SharedLimitAnswer | null) => void): void {
    this.#limits.take(request, answer);
  }

  close(): void {
    this.#closed = true;
  }

  #ask(ask: LeaseAsk, reply: (grant: LeaseGrant | null) => void): void {
    if (this.#waiting.push({ ask, reply }) > 1) return;
    setImmediate(() => void this.#send());
  }

  async #send(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const { client, process } = this.#options;
    try {
      if (this.#closed) throw new Error("closed");
      const asks = waiting.map(({ ask }) => messageOf(ask));
      const { grants } = await client().lease({ process, asks }, { timeoutMs: TIMEOUT_MS });
      waiting.forEach(({ reply }, i) => {
        const grant = grants[i];
        reply(grant === undefined || grant.unknown ? null : grant);
      });
    } catch {
      // The control plane is away, or older than this: each process keeps to its share.
      for (const { reply } of waiting) reply(null);
    }
  }
}

interface Waiting {
  readonly ask: LeaseAsk;
  readonly reply: (grant: LeaseGrant | null) => void;
}

function messageOf({ limit, wanted, demand, returned }: LeaseAsk): MessageInitShape<typeof LeaseAskSchema> {
  const { name, key, algorithm, requests, perMs, burst } = limit;
  return { limit: name, key, algorithm: ALGORITHMS[algorithm], requests, perMs, burst, wanted, demand, returned };
}

const ALGORITHMS = {
  "token-bucket": Algorithm.TOKEN_BUCKET,
  gcra: Algorithm.GCRA,
  "sliding-window": Algorithm.SLIDING_WINDOW,
} as const;
const TIMEOUT_MS = 1_000;
