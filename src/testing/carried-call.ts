import { attemptFields } from "../call/caller-attempt.ts";
import { type Call, type CallContext, type Decision, Effect, type LocalResponse, type Waker } from "../policy/call.ts";
import type { Query } from "../policy/machine/query.ts";
import type { CallerFacts } from "../service/server-call.ts";
import { type Answer, EMPTY, grpcTrailers, OK } from "./answer.ts";
import { SimAttempt } from "./attempt.ts";
import { type EventQueue, SimEvent } from "./event-queue.ts";
import { changed } from "./fields.ts";
import type { SimProcess } from "./process.ts";
import type { Replica } from "./replica.ts";
import type { SimRequest } from "./request.ts";
import { restBody } from "./transcoder.ts";

/** What a carried call needs of its world. */
export interface CallWorld {
  readonly events: EventQueue;
  replicaOf(endpointId: string): Replica | null;
  ask(query: Query): unknown;
  /** Has the attempt pass the gates of its server; false when it has none, and the attempt may be served. */
  gate(attempt: SimAttempt, replica: Replica): boolean;
  /** Told of every call's decision when it has ended. */
  ended(decision: Decision): void;
}

/**
 * One call on its way through the simulation: what call/carried-request.ts is over sockets, over modelled servers. Tells the call machine what
 * happens, carries out what it wants.
 *
 *     R1  Effects are drained after every event, by one loop: an event from inside an effect only adds to what that loop will see.
 *     R2  After `end` no event of it is scheduled, no server works for it (unless it finishes what nobody wants), and its machine has been given back.
 */
export class CarriedCall implements Waker {
  readonly world: CallWorld;
  readonly process: SimProcess;
  readonly request: SimRequest;
  readonly context: CallContext;
  /** Told once, while the decision can still be read. */
  readonly #onEnd: (call: CarriedCall, decision: Decision) => void;
  /** At a server: its gates have let the call pass, and `handled` is owed. */
  readonly #onAccept: (() => void) | null;
  /** Fields that the server's gates want on the answer. */
  acceptedFields: readonly string[] | null = null;
  /** What the server's gates found out about the caller; null until they have let the call pass. */
  caller: CallerFacts | null = null;
  readonly #call: Call;
  #draining = false;
  ended = false;
  #attempts: SimAttempt[] | null = null;
  #delivering: SimAttempt | null = null;
  #timers: CallTimer[] | null = null;
  // what the caller got
  status = 0;
  fields: readonly string[] = [];
  body: Uint8Array = EMPTY;
  message: object | null = null;
  local: LocalResponse | null = null;
  aborted = false;

  constructor(
    world: CallWorld,
    process: SimProcess,
    request: SimRequest,
    context: CallContext,
    onEnd: (call: CarriedCall, decision: Decision) => void,
    onAccept: (() => void) | null = null,
  ) {
    this.world = world;
    this.process = process;
    this.request = request;
    this.context = context;
    this.#onEnd = onEnd;
    this.#onAccept = onAccept;
    this.#call = process.policy.createCall();
    this.#call.waker = this;
  }

  begin(): void {
    const call = this.#call;
    const { length } = this.request.body;
    const now = this.world.events.now();
    call.begin(this.request.head, this.context, length > 0, now);
    this.#drain(now);
    if (length === 0 || this.ended) return;
    call.requestData(length, now);
    this.#drain(now);
    if (this.ended) return;
    call.requestEnd(now);
    this.#drain(now);
  }

  /** The caller goes away. */
  cancel(): void {
    if (this.ended) return;
    const now = this.world.events.now();
    this.#call.downstreamGone(now);
    this.#drain(now);
  }

  /** How the server answered what its gates had accepted. */
  handled({ status, grpcStatus }: Answer): void {
    if (this.ended) return;
    const { grpc } = this.request;
    const now = this.world.events.now();
    this.status = grpc ? 200 : status;
    this.#call.head(0, this.status, grpc ? ["grpc-status", String(grpcStatus)] : [], true, now);
    this.#drain(now);
  }

  /** The end of another call lets this one go on: soon, since the machine that says so is at work. */
  wake(): void {
    const { events } = this.world;
    events.after(0, () => {
      if (this.ended) return;
      const now = events.now();
      this.#call.woken(now);
      this.#drain(now);
    });
  }

  // --- from attempts and timers -------------------------------------------------------------------------------

  onConnected(attempt: SimAttempt): void {
    const now = this.world.events.now();
    this.#call.connected(attempt.number, now);
    this.#drain(now);
  }

  onAnswer(attempt: SimAttempt, answer: Answer): void {
    const { grpc } = this.request;
    const call = this.#call;
    const now = this.world.events.now();
    attempt.answer = answer;
    const { number } = attempt;
    const trailersOnly = grpc && answer.grpcStatus > 0;
    const bytes = trailersOnly ? 0 : answer.body.length;
    const fin = trailersOnly || (!grpc && bytes === 0);
    const status = grpc ? 200 : answer.status;
    const fields = trailersOnly ? [...answer.fields, ...grpcTrailers(answer)] : answer.fields;
    call.head(number, status, fields, fin, now);
    this.#drain(now);
    if (fin || attempt.done || this.ended) {
      attempt.done = true;
      this.#keep(attempt);
      return;
    }
    const paceMs = this.#delivering === attempt && call.bytesPerSecond > 0 ? (bytes * 1_000) / call.bytesPerSecond : 0;
    if (paceMs > 0) this.world.events.after(paceMs, () => this.#finish(attempt, answer));
    else this.#finish(attempt, answer);
  }

  /** The answer's body, and its end. */
  #finish(attempt: SimAttempt, answer: Answer): void {
    if (attempt.done || this.ended) return;
    const { grpc } = this.request;
    const call = this.#call;
    const now = this.world.events.now();
    const { length } = answer.body;
    this.#keep(attempt);
    if (length > 0) {
      call.responseData(attempt.number, length, !grpc, now);
      this.#drain(now);
    }
    if (grpc && !attempt.done && !this.ended) {
      call.trailers(attempt.number, grpcTrailers(answer), now);
      this.#drain(now);
    }
    attempt.done = true;
  }

  /** Gives a copy of the whole answer to whoever wants one. */
  #keep(attempt: SimAttempt): void {
    const { store, answer } = attempt;
    if (store === null || answer === null) return;
    attempt.store = null;
    const { asSent } = this.request;
    if (asSent === null) {
      if (answer.body.length > 0) store.data(answer.body, 0, answer.body.length);
      store.end();
    } else if (answer.grpcStatus > 0 || answer.message === null || Array.isArray(answer.message)) store.abort();
    else {
      const body = restBody(this.request, answer.message);
      store.head(200, (name) => !name.startsWith("content-") && !name.startsWith("grpc-"), [
        "content-type",
        "application/json",
      ]);
      if (body.length > 0) store.data(body, 0, body.length);
      store.end();
    }
  }

  onFailed(attempt: SimAttempt, kind: "connect" | "reset" | "refused", message: string): void {
    attempt.done = true;
    const now = this.world.events.now();
    this.#call.failed(attempt.number, { kind, unprocessed: kind !== "reset", message }, now);
    this.#drain(now);
  }

  onTimer(id: number): void {
    if (this.ended) return;
    const now = this.world.events.now();
    this.#call.timer(id, now);
    this.#drain(now);
  }

  // --- effects ------------------------------------------------------------------------------------------------

  #drain(now: number): void {
    if (this.#draining) return;
    this.#draining = true;
    const call = this.#call;
    for (;;) {
      switch (call.next()) {
        case Effect.none:
          this.#draining = false;
          return;
        case Effect.forward:
          this.#forward();
          break;
        case Effect.deliver:
          this.#deliver();
          break;
        case Effect.startTimer:
          this.#startTimer(call.timerId, now + call.timerMs);
          break;
        case Effect.cancelTimer: {
          const timer = this.#timers?.[call.timerId];
          if (timer !== undefined) this.world.events.cancel(timer);
          break;
        }
        case Effect.cancel:
          this.#attempts?.[call.attempt - 1]?.abandon();
          break;
        case Effect.respond:
        case Effect.abort:
          this.#respond(call.response as LocalResponse);
          break;
        case Effect.query:
          this.#query(call.queryId, call.query as Query);
          break;
        case Effect.mirror:
          this.#mirror();
          break;
        case Effect.refresh:
          this.#refresh();
          break;
        case Effect.accept:
          this.acceptedFields = call.addFields;
          this.caller = { principal: call.principal, priority: call.priority };
          if (this.#onAccept === null) this.handled(OK);
          else this.#onAccept();
          break;
        case Effect.end:
          this.#end();
          return;
        default:
          break; // the body is here whole, and so is the response: nothing to replay, to pause or to resume
      }
    }
  }

  #forward(): void {
    const call = this.#call;
    const to = call.endpoint;
    if (to === null) throw new Error("the call machine forwards without an endpoint");
    const attempt = new SimAttempt(this, call.attempt, call.timeoutMs);
    attempt.head =
      call.addFields === null && call.removeFields === null
        ? this.request.head.fields
        : changed(this.request.head.fields, call.addFields, call.removeFields);
    const { callerAttempt } = this.context;
    if (attempt.number > 1 || callerAttempt > 1)
      attempt.head = [...attempt.head, ...attemptFields(attempt.number, callerAttempt, this.request.grpc)];
    if (call.rewritePath !== "") attempt.path = call.rewritePath;
    if (call.rewriteAuthority !== "") attempt.authority = call.rewriteAuthority;
    (this.#attempts ??= [])[call.attempt - 1] = attempt;
    const replica = this.world.replicaOf(to.id);
    if (replica === null) this.onFailed(attempt, "connect", `${to.id} is not there any more`);
    else attempt.open(replica);
  }

  #mirror(): void {
    const to = this.#call.endpoint;
    const replica = to === null ? null : this.world.replicaOf(to.id);
    if (replica === null) return;
    const attempt = new SimAttempt(this, 0, Number.POSITIVE_INFINITY);
    attempt.mirror = true;
    attempt.open(replica);
  }

  /** The same request once more, for what a gate keeps of its answer. */
  #refresh(): void {
    const { addFields, removeFields } = this.#call;
    const { head } = this.request;
    const fields = changed(head.fields, addFields, removeFields);
    const request = { ...this.request, head: { ...head, fields, memo: null }, body: EMPTY };
    const context = { ...this.context, deadline: Number.POSITIVE_INFINITY, refresh: true };
    const call = new CarriedCall(this.world, this.process, request, context, () => {});
    this.world.events.after(0, () => call.begin());
  }

  #deliver(): void {
    const call = this.#call;
    const attempt = this.#attempts?.[call.attempt - 1];
    const answer = attempt?.answer ?? null;
    if (attempt === undefined || answer === null) return;
    this.#delivering = attempt;
    attempt.store = call.store;
    this.status = this.request.grpc ? 200 : answer.status;
    const fields = this.request.grpc ? [...answer.fields, ...grpcTrailers(answer)] : answer.fields;
    this.fields =
      call.addFields === null && call.removeFields === null
        ? fields
        : changed(fields, call.addFields, call.removeFields);
    this.body = answer.body;
    this.message = answer.message;
  }

  #respond(response: LocalResponse): void {
    this.aborted = this.#delivering !== null;
    const store = this.#delivering?.store ?? null;
    if (this.#delivering !== null) this.#delivering.store = null;
    store?.abort();
    this.local = response;
    this.status = response.status;
    this.fields = response.fields;
    this.body = response.body ?? EMPTY;
    this.message = null;
  }

  #query(id: number, query: Query): void {
    const told = (result: unknown): void => {
      if (this.ended) return;
      const now = this.world.events.now();
      this.#call.answered(id, result, now);
      this.#drain(now);
    };
    const answer = this.world.ask(query);
    if (answer instanceof Promise) {
      answer.then(told, () => told(null));
    } else if (isLater(answer)) {
      this.world.events.after(answer.afterMs, () => told(answer.answer));
    } else told(answer ?? null);
  }

  #startTimer(id: number, at: number): void {
    const timers = (this.#timers ??= []);
    this.world.events.schedule((timers[id] ??= new CallTimer(this, id)), at);
  }

  #end(): void {
    this.ended = true;
    if (this.#attempts !== null)
      for (const attempt of this.#attempts) if (attempt !== this.#delivering) attempt?.abandon();
    if (this.#timers !== null)
      for (const timer of this.#timers) if (timer !== undefined) this.world.events.cancel(timer);
    const { decision } = this.#call;
    this.world.ended(decision);
    this.#onEnd(this, decision);
    this.process.policy.release(this.#call);
  }
}

class CallTimer extends SimEvent {
  readonly #call: CarriedCall;
  readonly #id: number;

  constructor(call: CarriedCall, id: number) {
    super();
    this.#call = call;
    this.#id = id;
  }

  override fire(): void {
    this.#call.onTimer(this.#id);
  }
}

function isLater(answer: unknown): answer is { afterMs: number; answer: unknown } {
  return typeof answer === "object" && answer !== null && typeof (answer as { afterMs?: unknown }).afterMs === "number";
}
