import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CallContext, Effect } from "../call.ts";
import { errorAnswer } from "../error-answer.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import { grpc, TestCall, world } from "./call.case.ts";
import type { CallState } from "./call-state.ts";
import { type Gate, GateAnswer } from "./gate.ts";
import type { RequestFacts } from "./request-facts.ts";

/** A gate that does as it is told, and says what it was asked. */
class ToldGate implements Gate {
  readonly rule = "told";
  readonly source = "the test";
  readonly log: string[];
  readonly #name: string;
  readonly #answers: GateAnswer[];

  constructor(name: string, answers: readonly GateAnswer[], log: string[]) {
    this.#name = name;
    this.#answers = [...answers];
    this.log = log;
  }

  #say(call: CallState, event: string): GateAnswer {
    this.log.push(`${this.#name} ${event}`);
    const answer = this.#answers.shift() ?? GateAnswer.pass;
    call.query = { kind: "secret", key: this.#name, about: null };
    call.queryMs = call.waitMs = 20;
    call.response = errorAnswer("permission_denied", 403, "TOLD", `${this.#name} says no`);
    call.decision.note(this, answer === GateAnswer.respond ? "denied" : "ok").text = this.#name;
    return answer;
  }

  enter(call: CallState): GateAnswer {
    return this.#say(call, "enter");
  }

  answered(call: CallState, _slot: number, result: unknown): GateAnswer {
    return this.#say(call, `answered ${result}`);
  }

  resumed(call: CallState): GateAnswer {
    return this.#say(call, "resumed");
  }

  left(): void {
    this.log.push(`${this.#name} left`);
  }

  describe({ text }: { text: string }): { text: string; values: Record<string, never> } {
    return { text, values: {} };
  }
}

/** A call whose plan has these gates. */
function through(
  gates: readonly Gate[],
  place: "gateway" | "server" = "gateway",
): { call: TestCall; begin: (parts?: Partial<CallContext>) => TestCall } {
  const runtime = world();
  const request = grpc("/p.Products/Get");
  const warmUp = new TestCall(runtime).begin(request, { place, service: "products" });
  const plan = (request.memo as RequestFacts).match?.plan as Plan & { gates: readonly Gate[]; watched: boolean };
  warmUp.call.downstreamGone(0);
  plan.gates = gates;
  plan.watched = gates.length > 0;
  const call = new TestCall(runtime);
  return { call, begin: (parts = {}) => call.begin(request, { place, service: "products", ...parts }) };
}

test("a gate asks, waits and lets pass; then the call is routed", () => {
  const log: string[] = [];
  const { call, begin } = through([
    new ToldGate("a", [GateAnswer.ask, GateAnswer.pass], log),
    new ToldGate("b", [GateAnswer.wait, GateAnswer.pass], log),
  ]);
  begin();
  assert.equal(call.call.query?.key, "a");
  call.call.answered(call.call.queryId, "yes", 1);
  call.drain();
  assert.equal(call.endpoints.length, 0, "b waits");
  call.advance(20);
  assert.equal(call.endpoints.length, 1);
  call.head(1, 200, ["grpc-status", "0"]);
  assert.deepEqual(log, ["a enter", "a answered yes", "b enter", "b resumed", "b left", "a left"]);
  assert.deepEqual(
    call.call.decision.steps.filter(({ rule }) => rule === "told").map(({ text }) => text),
    ["a", "a", "b", "b"],
  );
});

test("a question that is not answered in time is answered with null; a late answer changes nothing", () => {
  const log: string[] = [];
  const { call, begin } = through([new ToldGate("a", [GateAnswer.ask, GateAnswer.respond], log)]);
  begin();
  call.advance(20);
  assert.equal(call.reason, "TOLD");
  call.call.answered(call.call.queryId, "late", 30);
  assert.deepEqual(log, ["a enter", "a answered null", "a left"]);
});

test("a gate waits no longer than the caller's deadline, nor is it asked after it", () => {
  for (const answer of [GateAnswer.wait, GateAnswer.ask]) {
    const log: string[] = [];
    const { call, begin } = through([new ToldGate("a", [answer], log)]);
    begin({ deadline: 5 });
    call.advance(4);
    assert.equal(call.call.ended, false);
    call.advance(1);
    assert.equal(call.reason, "DEADLINE_EXCEEDED");
    assert.deepEqual(log, ["a enter", "a left"]);
  }
});

test("at the server a call that passed is accepted, and ends with its handler's answer", () => {
  const log: string[] = [];
  const { call, begin } = through([new ToldGate("a", [], log)], "server");
  begin();
  assert.equal(call.seen.at(-1)?.kind, Effect.accept);
  call.call.head(0, 200, [], false, 3);
  call.call.trailers(0, ["grpc-status", "5"], 7);
  call.drain();
  assert.equal(call.call.ended, true);
  assert.deepEqual(call.call.decision.outcome, { status: 200, grpcStatus: 5, reason: "" });
  assert.deepEqual(log, ["a enter", "a left"]);
});

test("G1, G2: gates are entered in order and left in reverse, once, whatever they answer and whenever the caller goes", () => {
  const answer = fc.constantFrom(GateAnswer.pass, GateAnswer.pass, GateAnswer.ask, GateAnswer.wait, GateAnswer.respond);
  fc.assert(
    fc.property(
      fc.array(fc.array(answer, { maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      fc.nat(12),
      (told, goesAt) => {
        const log: string[] = [];
        const { call, begin } = through(told.map((answers, i) => new ToldGate(String(i), answers, log)));
        begin();
        for (let step = 0; !call.call.ended && step < 12; step++) {
          if (step === goesAt) call.call.downstreamGone(call.now);
          else if (call.endpoints.length > 0) call.head(1, 200, ["grpc-status", "0"]);
          else if (step % 2 === 0) call.call.answered(call.call.queryId, step, call.now);
          else call.advance(20);
          call.drain();
        }
        if (!call.call.ended) {
          call.call.downstreamGone(call.now);
          call.drain();
        }
        const entered = log.filter((line) => line.endsWith("enter")).map((line) => line[0]);
        const left = log.filter((line) => line.endsWith("left")).map((line) => line[0]);
        assert.deepEqual(entered, [...entered].sort());
        assert.equal(new Set(entered).size, entered.length);
        assert.deepEqual(left, [...entered].reverse());
        assert.equal(call.seen.filter(({ kind }) => kind === Effect.end).length, 1);
      },
    ),
  );
});
