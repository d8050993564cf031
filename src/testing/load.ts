import { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { Decision } from "../policy/call.ts";
import { AttemptKind } from "../policy/decision/attempt-kind.ts";
import { copyDecision } from "../policy/decision/decision.ts";
import type { Attempt } from "../policy/machine/attempt.ts";
import type { CarriedCall } from "./carried-call.ts";
import { SimEvent } from "./event-queue.ts";
import type { Replica } from "./replica.ts";
import type { SimRequest } from "./request.ts";
import type { EndpointLoad, LoadOptions, LoadReport } from "./types.ts";
import type { SimWorld } from "./world.ts";

/** Makes the calls of one load and counts what becomes of them. */
export class LoadRun {
  readonly #world: SimWorld;
  readonly #requests: readonly SimRequest[];
  readonly #options: LoadOptions;
  readonly #done: (report: LoadReport) => void;
  readonly #random: Random;
  readonly #startedAt: number;
  readonly #endsAt: number;
  readonly #countsFrom: number;
  readonly #tally = new Tally();
  readonly #before = new Map<Replica, number>();
  #made = 0;
  #open = 0;
  #callers = 0;

  constructor(
    world: SimWorld,
    requests: readonly SimRequest[],
    options: LoadOptions,
    done: (report: LoadReport) => void,
  ) {
    const { perSecond, callers, forMs, warmUpMs = 0 } = options;
    if ((perSecond === undefined) === (callers === undefined)) bad("give either perSecond or callers");
    if (perSecond !== undefined && !(perSecond > 0)) bad(`perSecond must be above 0, not ${perSecond}`);
    if (callers !== undefined && !(Number.isInteger(callers) && callers > 0))
      bad(`callers must be 1 or more, not ${callers}`);
    if (!(forMs > 0) || forMs === Number.POSITIVE_INFINITY) bad(`forMs must be above 0, not ${forMs}`);
    if (!(warmUpMs >= 0 && warmUpMs < forMs)) bad(`warmUpMs must be at least 0 and below forMs, not ${warmUpMs}`);
    if (requests.length === 0) bad("a load needs a request");
    this.#world = world;
    this.#requests = requests;
    this.#options = options;
    this.#done = done;
    this.#random = world.seeds.of("arrivals");
    this.#startedAt = world.now;
    this.#endsAt = world.now + forMs;
    this.#countsFrom = world.now + warmUpMs;
  }

  start(): void {
    const { events, topology } = this.#world;
    const { callers, warmUpMs = 0 } = this.#options;
    const reset = (): void => {
      for (const replica of topology.all()) {
        this.#before.set(replica, replica.attempts);
        replica.maxInFlight = replica.inFlight;
      }
    };
    if (warmUpMs > 0) events.after(warmUpMs, reset);
    else reset();
    if (callers === undefined) {
      new Arrivals(this).next();
      return;
    }
    this.#callers = callers;
    for (let i = 0; i < callers; i++) this.makeCall();
  }

  /** When the next call comes; Infinity past the end. */
  nextArrival(number: number, now: number): number {
    const { perSecond = 1, arrivals = "poisson" } = this.#options;
    const at =
      arrivals === "even"
        ? this.#startedAt + (number * 1_000) / perSecond
        : now - (Math.log(1 - this.#random.next()) * 1_000) / perSecond;
    return at < this.#endsAt ? at : Number.POSITIVE_INFINITY;
  }

  get world(): SimWorld {
    return this.#world;
  }

  makeCall(): void {
    this.#open++;
    const request = this.#requests[this.#made++ % this.#requests.length];
    this.#world.start(request, undefined, this.#ended).begin();
  }

  /** No more calls come of themselves. */
  arrivalsOver(): void {
    this.#arriving = false;
    this.#finishIfOver();
  }
  #arriving = true;

  readonly #ended = (_call: CarriedCall, decision: Decision): void => {
    this.#open--;
    if (decision.startedAt >= this.#countsFrom) {
      const failed = this.#tally.count(decision);
      const { keep = "failed" } = this.#options;
      if ((keep === "all" || (failed && keep === "failed")) && this.#tally.decisions.length < MAX_KEPT) {
        const copy = copyDecision(decision);
        this.#tally.decisions.push(copy);
        this.#world.keep(copy);
      }
    }
    if (this.#callers > 0) {
      const { events } = this.#world;
      const next = events.now() + (this.#options.pauseMs ?? 0);
      if (next < this.#endsAt) {
        // At least by an event: a call that is refused at once must not call itself. A refused call costs a caller a millisecond.
        events.after(Math.max(decision.durationMs > 0 ? 0 : 1, this.#options.pauseMs ?? 0), () => this.makeCall());
        return;
      }
      if (--this.#callers === 0) this.#arriving = false;
    }
    this.#finishIfOver();
  };

  #finishIfOver(): void {
    if (this.#arriving || this.#open > 0) return;
    this.#done(this.#tally.report(this.#loads()));
  }

  #loads(): Record<string, EndpointLoad> {
    const byService = new Map<string, [Replica, number][]>();
    for (const replica of this.#world.topology.all()) {
      const calls = replica.attempts - (this.#before.get(replica) ?? 0);
      const { service } = replica.endpoint;
      const known = byService.get(service);
      if (known === undefined) byService.set(service, [[replica, calls]]);
      else known.push([replica, calls]);
    }
    const loads: Record<string, EndpointLoad> = {};
    for (const replicas of byService.values()) {
      const total = replicas.reduce((sum, [, calls]) => sum + calls, 0);
      if (total === 0) continue;
      for (const [{ id, maxInFlight }, calls] of replicas) loads[id] = { calls, share: calls / total, maxInFlight };
    }
    return loads;
  }
}

class Arrivals extends SimEvent {
  readonly #run: LoadRun;
  #number = 0;

  constructor(run: LoadRun) {
    super();
    this.#run = run;
  }

  next(): void {
    const { events } = this.#run.world;
    const at = this.#run.nextArrival(this.#number++, events.now());
    if (at === Number.POSITIVE_INFINITY) this.#run.arrivalsOver();
    else events.schedule(this, at);
  }

  override fire(): void {
    this.#run.makeCall();
    this.next();
  }
}

class Tally {
  #calls = 0;
  #succeeded = 0;
  #attempts = 0;
  #retries = 0;
  #hedges = 0;
  #rejected = 0;
  #durations = new Float64Array(1_024);
  readonly #byReason = new Map<string, number>();
  readonly decisions: Decision[] = [];

  /** True when it failed. */
  count(decision: Decision): boolean {
    const { outcome, attempts, durationMs } = decision;
    if (this.#calls === this.#durations.length) {
      const more = new Float64Array(this.#calls * 2);
      more.set(this.#durations);
      this.#durations = more;
    }
    this.#durations[this.#calls++] = durationMs;
    const { length } = attempts;
    this.#attempts += length;
    if (length === 0) this.#rejected++;
    for (let i = 1; i < length; i++) {
      if ((attempts[i] as Attempt).kind === AttemptKind.hedge) this.#hedges++;
      else this.#retries++;
    }
    const { reason, status, grpcStatus } = outcome;
    const failed = reason !== "" || status >= 400 || grpcStatus > 0;
    if (!failed) this.#succeeded++;
    const word = reason !== "" ? reason : grpcStatus > 0 ? `grpc ${grpcStatus}` : failed ? String(status) : "";
    this.#byReason.set(word, (this.#byReason.get(word) ?? 0) + 1);
    return failed;
  }

  report(byEndpoint: Readonly<Record<string, EndpointLoad>>): LoadReport {
    const durations = this.#durations.subarray(0, this.#calls).sort();
    const calls = this.#calls;
    const at = (share: number): number =>
      calls === 0 ? 0 : durations[Math.min(calls - 1, Math.ceil(share * calls) - 1)];
    return {
      calls,
      succeeded: this.#succeeded,
      successRate: calls === 0 ? 1 : this.#succeeded / calls,
      mean: calls === 0 ? 0 : durations.reduce((sum, ms) => sum + ms, 0) / calls,
      p50: at(0.5),
      p90: at(0.9),
      p95: at(0.95),
      p99: at(0.99),
      p999: at(0.999),
      max: at(1),
      attempts: this.#attempts,
      attemptsPerCall: calls === 0 ? 0 : this.#attempts / calls,
      retries: this.#retries,
      hedges: this.#hedges,
      rejected: this.#rejected,
      byReason: Object.fromEntries([...this.#byReason].sort(([a], [b]) => (a < b ? -1 : 1))),
      byEndpoint,
      decisions: this.decisions,
    };
  }
}

function bad(message: string): never {
  throw new WeftError("invalid_argument", message, { reason: "BAD_LOAD" });
}

const MAX_KEPT = 1_000;
