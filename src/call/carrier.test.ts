import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import type { ConnectionWaiter, UpstreamPool } from "../net/types.ts";
import {
  type AttemptFailure,
  type Call,
  type Decision,
  Effect,
  type EffectKind,
  type LocalResponse,
} from "../policy/call.ts";
import { NOBODY } from "../policy/machine/principal.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { type Head, requestHead, responseHead, trailersHead } from "../wire/head.ts";
import type { ClientConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import { createCarrier } from "./carrier.ts";
import type { CallContext, CarriedCall, Downstream } from "./types.ts";

// Races that real sockets show too rarely: a scripted pool, streams and machine, driven by arbitrary sequences of events.

type Op =
  | { kind: "data"; bytes: number }
  | { kind: "end" | "cancel" | "connect" | "connectFails" | "advance" | "credit" }
  | { kind: "head"; attempt: number; status: number; fin: boolean }
  | { kind: "answer"; attempt: number; bytes: number; fin: boolean }
  | { kind: "trailers" | "reset" | "writable"; attempt: number };

const attempt = fc.integer({ min: 0, max: 3 });
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ kind: fc.constant("data" as const), bytes: fc.integer({ min: 0, max: 40_000 }) }),
  fc.record({ kind: fc.constantFrom("end", "cancel", "connectFails", "advance", "credit") }),
  fc.record({ kind: fc.constant("connect" as const) }),
  fc.record({ kind: fc.constant("head" as const), attempt, status: fc.constantFrom(100, 200, 503), fin: fc.boolean() }),
  fc.record({
    kind: fc.constant("answer" as const),
    attempt,
    bytes: fc.integer({ min: 0, max: 100 }),
    fin: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom("trailers", "reset", "writable"), attempt }),
);

test("R1 to R4 hold for any order of events, with and without hedging, and late events do nothing", () => {
  fc.assert(
    fc.property(
      fc.array(op, { maxLength: 40 }),
      fc.record({
        sync: fc.boolean(),
        hedge: fc.boolean(),
        replayBytes: fc.constantFrom(0, 1_000, 65_536),
        fin: fc.boolean(),
        late: fc.boolean(),
        reenter: fc.constantFrom("never", "cancel", "send", "credit"),
      }),
      (ops, setup) => {
        const world = new World(setup);
        for (const each of ops) world.apply(each);
        world.finish();
        world.check();
        for (const each of ops) world.apply(each); // late: everything is over
        world.check();
      },
    ),
    { numRuns: 1_000 },
  );
});

test("a body that came before the connection is sent in order when it is there", () => {
  const world = new World({ sync: false, hedge: false, ...plain });
  world.apply({ kind: "data", bytes: 10 });
  world.apply({ kind: "data", bytes: 20_000 });
  world.apply({ kind: "end" });
  world.apply({ kind: "connect" });
  assert.equal(world.streams.length, 1);
  assert.equal(world.streams[0].sentBytes, 20_010);
  assert.equal(world.streams[0].ended, true);
});

test("a retried call is sent its whole body again", () => {
  const world = new World({ sync: true, hedge: false, ...plain, replayBytes: 65_536 });
  world.apply({ kind: "data", bytes: 500 });
  world.apply({ kind: "reset", attempt: 0 });
  world.apply({ kind: "data", bytes: 700 });
  world.apply({ kind: "end" });
  assert.deepEqual(
    world.streams.map(({ sentBytes, ended }) => [sentBytes, ended]),
    [
      [500, false],
      [1_200, true],
    ],
  );
});

test("a slow connect holds back a body larger than what is kept, and lets it go on afterwards", () => {
  const world = new World({ sync: false, hedge: false, ...plain });
  world.apply({ kind: "data", bytes: 40_000 });
  assert.equal(world.lastWritable, true);
  world.apply({ kind: "data", bytes: 40_000 });
  assert.equal(world.lastWritable, false);
  world.apply({ kind: "connect" });
  assert.equal(world.writables, 1);
});

test("a response that is complete before the request is resets what is left of it", () => {
  const world = new World({ sync: true, hedge: false, ...plain });
  world.apply({ kind: "data", bytes: 10 });
  world.apply({ kind: "head", attempt: 0, status: 200, fin: true });
  assert.equal(world.streams[0].resetCode, 8);
  world.check();
});

test("a timer that is due comes before a failure that is heard later, though the wheel has not turned yet", () => {
  const world = new World({ sync: true, hedge: true, ...plain, replayBytes: 65_536 });
  world.clock.advance(21); // due at 20 ms, the wheel's tick is at 24
  world.apply({ kind: "reset", attempt: 0 });
  assert.equal(world.streams.length, 2, "the hedge was sent, and so the reset needed no retry");
  world.clock.advance(10);
  assert.equal(world.streams.length, 2, "the timer fired once");
});

interface Setup {
  /** The pool has a connection at once. */
  sync: boolean;
  hedge: boolean;
  replayBytes: number;
  /** The request has no body. */
  fin: boolean;
  /** The machine delivers when the first data or trailers come, not with the head. */
  late: boolean;
  /** What downstream does from inside onHead and onData. */
  reenter: "never" | "cancel" | "send" | "credit";
}

const plain = { replayBytes: 0, fin: false, late: false, reenter: "never" as const };

test("a response that is held until policy delivers it comes whole and in order", () => {
  const world = new World({ sync: true, hedge: false, ...plain, late: true });
  world.apply({ kind: "head", attempt: 0, status: 200, fin: false });
  assert.deepEqual(world.seen, []);
  world.apply({ kind: "answer", attempt: 0, bytes: 50, fin: false });
  world.apply({ kind: "answer", attempt: 0, bytes: 60, fin: true });
  assert.equal(world.responseBytes, 110);
  assert.equal(world.seen.join(), "head,fin,end");
});

const endpoint: Endpoint = {
  id: "e",
  service: "s",
  host: "127.0.0.1",
  port: 1,
  version: "",
  zone: "",
  weight: 1,
  protocol: "h2c",
  health: "healthy",
  metadata: {},
};

/** One call in a scripted world, and what has to hold of it. */
class World implements Downstream, UpstreamPool {
  readonly clock = new VirtualClock();
  readonly timers = new TimerWheel(this.clock);
  readonly streams: FakeStream[] = [];
  readonly waiters: ConnectionWaiter[] = [];
  readonly machine: Machine;
  readonly carrier;
  readonly call: CarriedCall | undefined;
  readonly sync: boolean;
  readonly reenter: Setup["reenter"];
  readonly seen: string[] = [];
  releases = 0;
  sentBytes = 0;
  sentEnd: boolean;
  responseBytes = 0;
  writables = 0;
  lastWritable = true;

  constructor(setup: Setup) {
    this.sync = setup.sync;
    this.reenter = setup.reenter;
    this.sentEnd = setup.fin;
    this.machine = new Machine(setup);
    const policy = { createCall: () => this.machine, release: () => this.releases++ } as unknown as PolicyRuntime;
    this.carrier = createCarrier({ policy, pool: this, clock: this.clock, timers: this.timers });
    this.call = this.carrier.begin(requestHead("POST", "http", "a", "/"), null, {} as CallContext, this, setup.fin);
  }

  apply(op: Op): void {
    switch (op.kind) {
      case "data": {
        if (this.sentEnd) return;
        const chunk = Buffer.from(new Uint8Array(op.bytes).map((_, i) => (this.sentBytes + i) & 0xff));
        if (!this.over) this.sentBytes += op.bytes;
        this.lastWritable = this.call?.data(chunk, 0, op.bytes, false) ?? true;
        chunk.fill(0xee); // the bytes are valid during the call only
        return;
      }
      case "end":
        if (this.sentEnd) return;
        this.sentEnd = true;
        this.call?.data(new Uint8Array(0), 0, 0, true);
        return;
      case "cancel":
        this.call?.cancel();
        return;
      case "credit":
        this.call?.credit(10);
        return;
      case "connect":
        this.waiters.shift()?.onConnection(this.connection());
        return;
      case "connectFails":
        this.waiters.shift()?.onConnectFailed({ kind: "connect", code: 0, unprocessed: true, message: "refused" });
        return;
      case "advance":
        this.clock.advance(50);
        return;
      default:
        this.streams[op.attempt]?.hear(op);
    }
  }

  /** Lets the call come to its end, whatever state it is in. */
  finish(): void {
    this.apply({ kind: "cancel" });
  }

  get over(): boolean {
    return this.seen.includes("end");
  }

  check(): void {
    assert.equal(this.seen.filter((what) => what === "end").length, 1, `onEnd once: ${this.seen}`);
    assert.equal(this.seen.at(-1), "end", `nothing after onEnd: ${this.seen}`);
    assert.ok(
      this.seen.filter((what) => ["local", "abort", "fin"].includes(what)).length <= 1,
      `one ending: ${this.seen}`,
    );
    assert.equal(this.waiters.length, 0, "nothing waits in the pool");
    assert.equal(this.timers.size, 0, "no timer runs");
    assert.equal(this.carrier.inFlight, 0);
    assert.equal(this.releases, 1, "the machine was given back once");
    for (const stream of this.streams) assert.ok(stream.closed, "no stream is left open");
  }

  // Downstream
  onHead(head: Head, fin: boolean): void {
    assert.ok(!this.over);
    if (head.status < 200) return;
    assert.ok(!this.seen.includes("head"), "one head");
    this.seen.push("head");
    if (fin) this.seen.push("fin");
    this.answerBack();
  }
  onData(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    assert.ok(this.seen.includes("head") && !this.seen.includes("fin"));
    for (let i = start; i < end; i++)
      assert.equal(chunk[i], (this.responseBytes + i - start) & 0xff, "the answer in order");
    this.responseBytes += end - start;
    if (fin) this.seen.push("fin");
    this.answerBack();
  }
  /** Calls back into the call from inside one of its callbacks. */
  answerBack(): void {
    if (this.call === undefined || this.reenter === "never") return;
    if (this.reenter === "cancel") this.call.cancel();
    else if (this.reenter === "credit") this.call.credit(10);
    else this.apply({ kind: "data", bytes: 7 });
  }
  onTrailers(): void {
    assert.ok(this.seen.includes("head") && !this.seen.includes("fin"));
    this.seen.push("fin");
  }
  onLocal(): void {
    assert.ok(!this.seen.includes("head"));
    this.seen.push("local");
  }
  onAbort(): void {
    assert.ok(this.seen.includes("head"));
    this.seen.push("abort");
  }
  onWritable(): void {
    assert.ok(!this.over);
    this.writables++;
  }
  onEnd(): void {
    this.seen.push("end");
  }

  // UpstreamPool
  acquire(_endpoint: Endpoint, waiter: ConnectionWaiter): ClientConnection | null {
    assert.ok(!this.over);
    if (this.sync) return this.connection();
    this.waiters.push(waiter);
    return null;
  }
  cancel(_endpoint: Endpoint, waiter: ConnectionWaiter): void {
    const at = this.waiters.indexOf(waiter);
    if (at >= 0) this.waiters.splice(at, 1);
  }
  remove(): void {}
  async close(): Promise<void> {}

  connection(): ClientConnection {
    return {
      version: "2",
      request: (_head: Head, _extra: unknown, fin: boolean, sink: StreamSink) => {
        const stream = new FakeStream(this, sink, fin);
        this.streams.push(stream);
        return stream;
      },
    } as unknown as ClientConnection;
  }
}

/** A stream that keeps the rules of HttpStream and checks that its user does. */
class FakeStream implements HttpStream {
  sink: StreamSink;
  readonly connection = {} as HttpStream["connection"];
  owner: unknown = null;
  readonly bufferedBytes = 0;
  readonly world: World;
  sentBytes = 0;
  ended: boolean;
  answered = false;
  /** The end is being told; as in the real streams, it is closed only afterwards. */
  answerEnding = false;
  answerEnded = false;
  answerBytes = 0;
  resetCode = -1;

  constructor(world: World, sink: StreamSink, fin: boolean) {
    this.world = world;
    this.sink = sink;
    this.ended = fin;
  }

  get closed(): boolean {
    return this.resetCode >= 0 || (this.ended && this.answerEnded);
  }
  sendHead(): void {}
  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    assert.ok(!this.closed && !this.ended, "nothing is sent after the end");
    for (let i = start; i < end; i++) assert.equal(bytes[i], (this.sentBytes + i - start) & 0xff, "the body in order");
    this.sentBytes += end - start;
    assert.ok(this.sentBytes <= this.world.sentBytes, "no byte twice");
    if (fin) {
      assert.equal(this.sentBytes, this.world.sentBytes, "the whole body");
      this.ended = true;
    }
    return this.sentBytes % 3 !== 0;
  }
  sendTrailers(): void {}
  reset(code: number): void {
    assert.ok(!this.closed, "reset once");
    assert.ok(!(this.ended && this.answerEnding), "what is complete is not reset");
    this.resetCode = code;
  }
  credit(bytes: number): void {
    assert.ok(bytes > 0);
  }

  /** The peer does something, as far as it still may. */
  hear(op: Op & { attempt: number }): void {
    if (this.closed || this.answerEnded) return;
    switch (op.kind) {
      case "head":
        if (this.answered) return;
        if (op.status >= 200) {
          this.answered = true;
          this.answerEnding = op.fin;
        }
        this.sink.onHead(this, responseHead(op.status), op.status >= 200 && op.fin);
        this.answerEnded = this.answerEnding;
        return;
      case "answer": {
        if (!this.answered) return;
        this.answerEnding = op.fin;
        const chunk = Buffer.from(new Uint8Array(op.bytes).map((_, i) => (this.answerBytes + i) & 0xff));
        this.answerBytes += op.bytes;
        this.sink.onData(this, chunk, 0, op.bytes, op.fin);
        this.answerEnded = this.answerEnding;
        chunk.fill(0xee);
        return;
      }
      case "trailers":
        if (!this.answered) return;
        this.answerEnding = true;
        this.sink.onTrailers(this, trailersHead([]));
        this.answerEnded = true;
        return;
      case "writable":
        this.sink.onWritable(this);
        return;
      case "reset": {
        this.resetCode = 2;
        const failure: StreamFailure = { kind: "reset", code: 2, unprocessed: false, message: "reset by the test" };
        this.sink.onReset(this, failure);
      }
    }
  }
}

const TIMER = 3;

/** A small machine with the call machine's manners: three attempts, back-off by timer, retry of 503 and failures, hedging if wanted. */
class Machine implements Call {
  readonly #queue: { effect: EffectKind; attempt?: number }[] = [];
  readonly #hedge: boolean;
  readonly #replayBytes: number;
  readonly #late: boolean;
  /** A head that is not delivered yet. */
  #chosen = 0;
  readonly #open = new Set<number>();
  #made = 0;
  #body = 0;
  #done = false;
  attempt = 0;
  readonly endpoint = endpoint;
  readonly timeoutMs = Number.POSITIVE_INFINITY;
  readonly addFields = null;
  readonly removeFields = null;
  readonly rewritePath = "";
  readonly rewriteAuthority = "";
  readonly proxyProtocol = "";
  readonly timerId = TIMER;
  readonly timerMs = 20;
  readonly queryId = 0;
  readonly query = null;
  readonly store = null;
  readonly bytesPerSecond = 0;
  readonly bounds = null;
  readonly repeats = false;
  readonly principal = NOBODY;
  readonly priority = 5;
  waker = null;
  readonly response: LocalResponse = { error: null, status: 503, fields: [], body: null };
  committed = false;
  readonly decision = {} as Decision;

  constructor(setup: Setup) {
    this.#hedge = setup.hedge;
    this.#replayBytes = setup.replayBytes;
    this.#late = setup.late;
  }

  get ended(): boolean {
    return this.#done;
  }
  get replayable(): boolean {
    return this.#body <= this.#replayBytes && this.#replayBytes > 0;
  }

  begin(): void {
    this.#forward();
    if (this.#hedge) this.#push(Effect.startTimer);
  }
  answered(): void {}
  woken(): void {}
  requestData(bytes: number): void {
    this.#body += bytes;
  }
  requestEnd(): void {}
  connected(): void {}
  head(attempt: number, status: number, _fields: readonly string[], fin: boolean): void {
    if (!this.#open.has(attempt) || this.committed) return;
    if (status === 503 && this.#retry(attempt, fin)) return;
    if (this.#late && !fin) {
      this.#chosen = attempt;
      return;
    }
    this.#deliver(attempt);
    if (fin) this.#end();
  }
  #deliver(attempt: number): void {
    this.committed = true;
    for (const other of this.#open) if (other !== attempt) this.#push(Effect.cancel, other);
    this.#open.clear();
    this.#open.add(attempt);
    this.#push(Effect.deliver, attempt);
  }
  responseData(attempt: number, _bytes: number, fin: boolean): void {
    if (!this.committed && attempt === this.#chosen && this.#open.has(attempt)) this.#deliver(attempt);
    if (fin && this.#open.has(attempt) && this.committed) this.#end();
  }
  trailers(attempt: number): void {
    if (!this.committed && attempt === this.#chosen && this.#open.has(attempt)) this.#deliver(attempt);
    if (this.#open.has(attempt) && this.committed) this.#end();
  }
  failed(attempt: number, _failure: AttemptFailure): void {
    if (!this.#open.delete(attempt) || this.#done) return;
    if (this.committed) {
      this.#push(Effect.abort);
      this.#end();
    } else if (this.#open.size === 0 && !this.#retry(attempt, true)) {
      this.#push(Effect.respond);
      this.#end();
    }
  }
  timer(): void {
    if (!this.#done && !this.committed && this.#mayForward()) this.#forward();
    else if (!this.#done && !this.committed && this.#open.size === 0) {
      this.#push(Effect.respond);
      this.#end();
    }
  }
  credit(): void {}
  downstreamGone(): void {
    if (this.#done) return;
    for (const attempt of this.#open) this.#push(Effect.cancel, attempt);
    this.#end();
  }
  carried(): void {}
  sessionEnd(): void {}

  next(): EffectKind {
    const next = this.#queue.shift();
    if (next === undefined) return Effect.none;
    if (next.attempt !== undefined) this.attempt = next.attempt;
    return next.effect;
  }

  #retry(attempt: number, over: boolean): boolean {
    this.#open.delete(attempt);
    if (!this.#mayForward()) {
      if (this.#open.size > 0) return true;
      this.#open.add(attempt);
      return false;
    }
    if (!over) this.#push(Effect.cancel, attempt);
    if (attempt === 1) this.#forward();
    else this.#push(Effect.startTimer);
    return true;
  }
  #mayForward(): boolean {
    return this.#made < 3 && (this.replayable || this.#body === 0);
  }
  #forward(): void {
    this.#made++;
    this.#open.add(this.#made);
    this.#push(Effect.forward, this.#made);
    if (this.#body > 0) this.#push(Effect.replayBody, this.#made);
  }
  #end(): void {
    this.#done = true;
    this.#push(Effect.cancelTimer);
    this.#push(Effect.end);
  }
  #push(effect: EffectKind, attempt?: number): void {
    this.#queue.push(attempt === undefined ? { effect } : { effect, attempt });
  }
}
