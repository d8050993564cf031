import { type CallContext, type CallRequest, type Decision, Effect } from "../call.ts";
import type { Query } from "../machine/query.ts";
import type { EndpointState, PolicyRuntime } from "../runtime.ts";
import { copyDecision } from "./decision.ts";

export interface DryRun {
  readonly decision: Decision;
  /** Every endpoint of the service that the call goes to, the chosen one first; empty when it goes nowhere. */
  readonly candidates: readonly Candidate[];
  /** What would have been asked of the outside, and was not: the decision says what holds when there is no answer. */
  readonly notAsked: readonly string[];
}

export interface Candidate {
  readonly endpoint: string;
  readonly address: string;
  readonly version: string;
  readonly zone: string;
  readonly chosen: boolean;
  /** "chosen", or why not: "unhealthy", "of version v2", "put aside after failures", "not drawn". */
  readonly why: string;
}

/**
 * Decides a made-up call: nothing is sent, a chosen endpoint is taken to answer well at once, and what would have been asked of the outside gets no answer. It
 * writes the statistics of `runtime` like any call, so give it one of its own.
 */
export function dryRun(runtime: PolicyRuntime, request: CallRequest, context: CallContext, start = 0): DryRun {
  const call = runtime.createCall();
  const notAsked: string[] = [];
  const grpc = request.fields.some((value, i) => i % 2 === 1 && value.startsWith("application/grpc"));
  let now = start;
  let candidates: readonly Candidate[] = [];
  const timers = new Map<number, number>();
  call.begin(request, context, false, now);
  while (!call.ended) {
    const effect = call.next();
    switch (effect) {
      case Effect.forward: {
        const { decision, attempt } = call;
        candidates = candidatesOf(
          runtime.describe(decision.service, now),
          decision.attempts[attempt - 1].endpoint,
          decision,
        );
        call.head(attempt, 200, grpc ? ["content-type", "application/grpc", "grpc-status", "0"] : [], true, now);
        break;
      }
      case Effect.query:
        notAsked.push(describeQuery(call.query));
        call.answered(call.queryId, null, now);
        break;
      case Effect.accept:
        call.head(0, 200, grpc ? ["grpc-status", "0"] : [], true, now);
        break;
      case Effect.startTimer:
        timers.set(call.timerId, now + call.timerMs);
        break;
      case Effect.cancelTimer:
        timers.delete(call.timerId);
        break;
      case Effect.none: {
        // It waits: for as long as it likes, at no cost.
        const [first] = [...timers].sort((a, b) => a[1] - b[1]);
        if (first === undefined) {
          call.downstreamGone(now);
          break;
        }
        timers.delete(first[0]);
        now = Math.max(now, first[1]);
        call.timer(first[0], now);
        break;
      }
      default:
        break;
    }
  }
  while (call.next() !== Effect.none);
  const decision = copyDecision(call.decision);
  runtime.release(call);
  const lost = decision.steps.some(({ rule }) => rule === "endpoint" || rule === "breaker");
  if (candidates.length === 0 && lost && decision.service !== "") {
    candidates = candidatesOf(runtime.describe(decision.service, now), "", decision);
  }
  const attempts = decision.attempts.map((attempt) => ({ ...attempt, outcome: "not sent" }));
  return { decision: { ...decision, attempts }, candidates, notAsked };
}

function describeQuery(query: Query | null): string {
  return query === null ? "something" : query.kind;
}

/** "P2C: chosen over products-1 (...)", "chosen: the only endpoint" */
function chosenBecause(why: string): string {
  if (why === "") return "chosen";
  return why.includes("chosen") ? why : `chosen: ${why}`;
}

function candidatesOf(states: readonly EndpointState[], chosen: string, { route, attempts }: Decision): Candidate[] {
  const version = states.find(({ endpoint }) => endpoint.id === chosen)?.endpoint.version ?? "";
  const pinned = version !== "" && route.includes(`@${version}`);
  const candidates = states.map(({ endpoint, ejected, inFlight, ewmaMs }): Candidate => {
    const { id, host, port, zone } = endpoint;
    const isChosen = id === chosen;
    let why = `not drawn (${inFlight} in flight, ewma ${Math.round(ewmaMs * 10) / 10} ms)`;
    if (isChosen) why = chosenBecause(attempts[0]?.why ?? "");
    else if (endpoint.health !== "healthy") why = endpoint.health;
    else if (pinned && endpoint.version !== version) why = `of version ${endpoint.version || "none"}`;
    else if (ejected) why = "put aside after failures";
    else if (attempts[0]?.why.includes(` over ${id} `)) why = "drawn too, and not cheaper";
    return { endpoint: id, address: `${host}:${port}`, version: endpoint.version, zone, chosen: isChosen, why };
  });
  return candidates.sort((a, b) => Number(b.chosen) - Number(a.chosen) || (a.endpoint < b.endpoint ? -1 : 1));
}
