import { seededRandom } from "../../core/random.ts";
import { type AttemptFailure, type BodyStore, type Call, Effect } from "../call.ts";
import { policyOfCalls } from "../check/effective-policies.ts";
import type { CallDecision } from "../decision/decision.ts";
import type { CallMachine } from "../machine/call-machine.ts";
import type { TapedPick } from "../machine/tape.ts";
import type { Resource } from "../resource/resources.ts";
import type { PolicyRuntime } from "../runtime.ts";
import { createPolicyRuntime } from "../snapshot/create-runtime.ts";
import { Agenda } from "./agenda.ts";
import { AnswersOfEndpoints, type AttemptScript, pathOf, scriptOf } from "./answers-of-endpoints.ts";
import { recordedDecision } from "./call-recorder.ts";
import { contextOf, requestOf } from "./player.ts";
import type { RecordedCall, RecordedDecision, RecordedEvent, RecordedLine, RecordedStart } from "./recorded.ts";
import { restorer } from "./redactor.ts";
import { decodeTape } from "./tape-code.ts";

export interface Resimulated {
  readonly call: RecordedCall;
  readonly decision: RecordedDecision;
  /** An attempt's answer, or the answer to a question, was not in the recording. */
  readonly guessed: boolean;
  /** Its answer is not in the recording and cannot be guessed, or it does not end there: what it would have come to is not known. */
  readonly undecided: boolean;
}

/**
 * Recorded calls under other policy: they begin when they began, all state (limits, breakers, budgets, statistics, calls in flight) is simulated again in the
 * recorded order and time, and starts empty. An attempt gets the answer that the call got from that endpoint, if it went there; otherwise one that the
 * endpoint gave to others around that time. The recorded draw and picks are kept where they make sense, so that what differs comes of policy and not of chance.
 */
export function resimulate(lines: readonly RecordedLine[], proposed: readonly Resource[], seed = 1): Resimulated[] {
  const start = lines.find((line): line is RecordedStart => line.t === "start");
  const random = seededRandom(seed);
  const agenda = new Agenda();
  const answers = new AnswersOfEndpoints();
  const results: Resimulated[] = [];
  const runtime = createPolicyRuntime({
    random,
    record: "all",
    wallAt: start?.wallAt ?? 0,
    zone: start?.zone ?? "",
    service: start?.service ?? "",
  });
  const recordedResources = lines.flatMap((line) => (line.t === "resources" ? line.resources : []));
  const restore = start?.redacted ? restorer(start.salt, [...recordedResources, ...proposed]) : same;
  const calls = lines.filter((line): line is RecordedCall => line.t === "call").sort((a, b) => a.at - b.at);
  for (const call of calls) answers.add(call);
  let revision = 0;
  for (const line of lines) {
    // Methods change in the recording as they did; resources are the proposed ones.
    if (line.t === "resources") agenda.at(line.at, () => runtime.applyResources(++revision, proposed, line.methods));
    else if (line.t === "endpoints")
      agenda.at(line.at, () => runtime.applyEndpoints({ ...line, endpointVersion: line.version }));
  }
  const all: RunningCall[] = [];
  const sameBalancer = balancerComparison(lines, proposed);
  for (const call of calls) {
    agenda.at(call.at, (now) => {
      const running = new RunningCall(call, { runtime, agenda, answers, random, restore, sameBalancer }, (result) =>
        results.push(result),
      );
      all.push(running);
      running.begin(now);
    });
  }
  agenda.run();
  for (const running of all) running.giveUp();
  return results;
}

/** By recorded snapshot and service; policies of routes and methods that set a balancer count for every service. */
function balancerComparison(
  lines: readonly RecordedLine[],
  proposed: readonly Resource[],
): Surroundings["sameBalancer"] {
  const known = new Map<string, boolean>();
  const resourcesOf = new Map<number, readonly Resource[]>();
  for (const line of lines) if (line.t === "resources") resourcesOf.set(line.snapshot, line.resources);
  const balancers = (resources: readonly Resource[]): string =>
    JSON.stringify(
      resources.flatMap(({ kind, spec }) =>
        kind === "TrafficPolicy" && spec.balancer !== undefined
          ? [{ targets: spec.targetRefs, balancer: spec.balancer }]
          : [],
      ),
    );
  const wanted = balancers(proposed);
  return (snapshot, service) => {
    const key = `${snapshot} ${service}`;
    let same = known.get(key);
    if (same === undefined) {
      const recorded = resourcesOf.get(snapshot) ?? [];
      const plain = !wanted.includes('"Method"') && !wanted.includes("Route");
      same =
        balancers(recorded) === wanted || (plain && balancerOf(recorded, service) === balancerOf(proposed, service));
      known.set(key, same);
    }
    return same;
  };
}

function balancerOf(resources: readonly Resource[], service: string): string {
  return JSON.stringify(policyOfCalls(resources, service).balancer);
}

interface Surroundings {
  readonly runtime: PolicyRuntime;
  readonly agenda: Agenda;
  readonly answers: AnswersOfEndpoints;
  readonly random: ReturnType<typeof seededRandom>;
  readonly restore: <T>(value: T) => T;
  /** Whether calls to a service are balanced as they were. */
  readonly sameBalancer: (snapshot: number, service: string) => boolean;
}

/** The shell of one call in the simulation. */
class RunningCall {
  readonly #recorded: RecordedCall;
  readonly #around: Surroundings;
  readonly #call: CallMachine;
  readonly #done: (result: Resimulated) => void;
  /** When the timer of an id is due; another time than an event's means that it was started anew. */
  readonly #timers = new Map<number, number>();
  readonly #over = new Set<number>();
  /** Recorded attempts whose answers have been used. */
  readonly #used = new Set<number>();
  #answered = 0;
  #guessed = false;
  #undecided = false;
  #draining = false;
  #store: BodyStore | null = null;

  constructor(recorded: RecordedCall, around: Surroundings, done: (result: Resimulated) => void) {
    this.#recorded = recorded;
    this.#around = around;
    this.#done = done;
    this.#call = around.runtime.createCall() as CallMachine;
    this.#call.waker = { wake: () => this.#later(0, (now) => this.#call.woken(now)) };
  }

  begin(now: number): void {
    const { events, tape, decision, request, bodyFollows, at } = this.#recorded;
    const { restore } = this.#around;
    const { picks, values, draws } = decodeTape(restore(tape));
    const { splitDraw } = decision;
    this.#call.tape.guide({
      splitDraw: splitDraw >= 0 ? splitDraw : null,
      draws,
      recall: (name) =>
        (values.findLast((value) => isNamed(value, name)) as Record<string, unknown> | undefined)?.[name],
      pick: (bindingName, number): TapedPick | null => {
        const pick = picks[number];
        if (pick === undefined || pick.endpoint === null) return null;
        const { service, version } = pick.endpoint;
        if (!this.#around.sameBalancer(this.#recorded.snapshot, service)) return null;
        return bindingName === service || bindingName === `${service}@${version}` ? pick : null;
      },
    });
    this.#call.begin(requestOf(restore(request)), contextOf(this.#recorded, restore), bodyFollows, now);
    this.#drain(now);
    // What the caller did, it does again: its body, and giving up.
    for (const event of events) {
      if (event[0] === "requestData") this.#later(event[1] - at, (then) => this.#call.requestData(event[2], then));
      else if (event[0] === "requestEnd") this.#later(event[1] - at, (then) => this.#call.requestEnd(then));
      else if (event[0] === "downstreamGone") this.#later(event[1] - at, (then) => this.#call.downstreamGone(then));
    }
  }

  #later(afterMs: number, run: (now: number) => void): void {
    const { agenda } = this.#around;
    agenda.at(this.#now + Math.max(0, afterMs), (now) => {
      if (this.#call.ended) return;
      this.#now = now;
      run(now);
      this.#drain(now);
    });
  }
  #now = 0;

  #drain(now: number): void {
    this.#now = now;
    if (this.#draining) return;
    this.#draining = true;
    const call = this.#call;
    for (let effect = call.next(); effect !== Effect.none; effect = call.next()) {
      switch (effect) {
        case Effect.forward:
          this.#attempt(call, call.attempt, now);
          break;
        case Effect.cancel:
          this.#over.add(call.attempt);
          break;
        case Effect.startTimer:
          this.#startTimer(call.timerId, now + call.timerMs);
          break;
        case Effect.cancelTimer:
          this.#timers.delete(call.timerId);
          break;
        case Effect.query:
          this.#answer(call.queryId, call.query?.kind ?? "");
          break;
        case Effect.deliver:
          this.#store = call.store;
          break;
        case Effect.accept:
          this.#accept(now);
          break;
        case Effect.end:
          this.#end();
          return;
        default:
          break;
      }
    }
    this.#draining = false;
  }

  #startTimer(id: number, dueAt: number): void {
    this.#timers.set(id, dueAt);
    this.#later(dueAt - this.#now, (now) => {
      if (this.#timers.get(id) !== dueAt) return;
      this.#timers.delete(id);
      this.#call.timer(id, now);
    });
  }

  /** The answer of the recorded attempt at the same endpoint, or one that is likely. */
  #attempt(call: Call, number: number, now: number): void {
    const { answers, random } = this.#around;
    const { attempts } = this.#recorded.decision;
    const endpoint = call.endpoint?.id ?? "";
    const service = call.endpoint?.service ?? "";
    const known = attempts.find((attempt) => attempt.endpoint === endpoint && !this.#used.has(attempt.number));
    let script: AttemptScript | null = null;
    if (known !== undefined) {
      this.#used.add(known.number);
      script = scriptOf(this.#recorded, known.number);
      if (script.silentMs < 0) return this.#follow(number, script);
      // It was given up in the recording: it may have answered later.
    }
    this.#guessed = true;
    const guess = answers.estimate(endpoint, service, pathOf(this.#recorded), now, random, script?.silentMs ?? 0);
    if (guess !== null) this.#follow(number, guess);
    else if (script === null) this.#follow(number, UNKNOWN);
    // Otherwise it stays silent, as all that is known of it says.
  }

  /** The server's own answer, or one that it gave to others. */
  #accept(now: number): void {
    const { answers, random } = this.#around;
    let script: AttemptScript | null = scriptOf(this.#recorded, 0);
    if (script.silentMs >= 0) {
      this.#guessed = true;
      script = answers.estimate("", this.#recorded.context.service, pathOf(this.#recorded), now, random);
    }
    if (script !== null) this.#follow(0, script);
  }

  /** Nothing happens any more, and it has not ended: nobody knows how it would have gone on. */
  giveUp(): void {
    if (this.#call.ended) return;
    this.#undecided = true;
    this.#call.downstreamGone(this.#now);
    this.#drain(this.#now);
  }

  #follow(number: number, script: AttemptScript): void {
    for (const { afterMs, event } of script.events) {
      this.#later(afterMs, (now) => {
        if (!this.#over.has(number)) tellAttempt(this.#call, number, event, now);
      });
    }
  }

  #answer(queryId: number, kind: string): void {
    const recorded = this.#recorded.events.filter(
      (event): event is Extract<RecordedEvent, readonly ["answered", ...unknown[]]> =>
        event[0] === "answered" && event[2] === kind,
    );
    const found = recorded.at(this.#answered++);
    if (found === undefined) this.#guessed = true;
    this.#later(0, (now) => this.#call.answered(queryId, this.#around.restore(found?.[3] ?? null), now));
  }

  #end(): void {
    // Bodies are not recorded: a cache keeps empty ones, which answer like others.
    if (this.#store !== null) (this.#call.decision as CallDecision).failed ? this.#store.abort() : this.#store.end();
    const decision = recordedDecision(this.#call.decision as CallDecision, true);
    this.#call.tape.off();
    this.#around.runtime.release(this.#call);
    this.#done({ call: this.#recorded, decision, guessed: this.#guessed, undecided: this.#undecided });
  }
}

function tellAttempt(call: Call, number: number, event: RecordedEvent, now: number): void {
  switch (event[0]) {
    case "connected":
      return call.connected(number, now);
    case "head":
      return call.head(number, event[3], event[4], event[5], now);
    case "responseData":
      return call.responseData(number, event[3], event[4], now);
    case "trailers":
      return call.trailers(number, event[3], now);
    case "failed":
      return call.failed(number, event[3], now);
    case "sessionEnd":
      return call.sessionEnd(now);
    default:
      break;
  }
}

/** Nothing is known of the endpoint nor of its service: it cannot be reached. */
const LOST: AttemptFailure = { kind: "connect", unprocessed: true, message: "the recording knows no answer of it" };
const UNKNOWN: AttemptScript = { events: [{ afterMs: 1, event: ["failed", 0, 0, LOST] }], silentMs: -1 };

const same = <T>(value: T): T => value;

function isNamed(value: unknown, name: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name);
}
