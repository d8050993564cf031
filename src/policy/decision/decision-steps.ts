import type { DecisionStep } from "../call.ts";
import type { Gate } from "../machine/gate.ts";
import { ms } from "../resource/duration.ts";
import type { PolicyFieldName } from "../snapshot/policy-fields.ts";
import type { CallDecision, RetryStop } from "./decision.ts";
import { addResilience, breakerText } from "./resilience-steps.ts";
import { addRoute, addSession } from "./route-steps.ts";

/** Everything that a call met, in order, in words. */
export function describeSteps(decision: CallDecision): DecisionStep[] {
  const steps: DecisionStep[] = [];
  const add = (
    rule: string,
    verdict: string,
    text: string,
    values: Record<string, number | string> = {},
    source = "",
  ): void => {
    steps.push({ rule, verdict, text, values, source });
  };
  const { plan, binding } = decision;
  if (plan === null) {
    add("route", "failed", `no route matches ${decision.request}`);
    return steps;
  }
  addRoute(decision, plan, add);
  for (const note of decision.notes) {
    const gate = note.gate as Gate;
    const { text, values } = gate.describe(note);
    add(gate.rule, note.verdict, text, values, gate.source);
  }
  if (binding === null) return steps;
  if (decision.session !== "") addSession(decision, plan, add);
  if (decision.splitDraw >= 0) {
    const total = plan.rule.totalWeight;
    add("split", "chosen", `${binding.name}, ${binding.weight} of ${total}`, { draw: decision.splitDraw });
  }
  if (decision.deadline !== Number.POSITIVE_INFINITY) {
    const from = decision.deadlineOfCaller ? "the caller's deadline" : sourceOf(decision, "timeout");
    add("deadline", "ok", `${ms(decision.deadline - decision.startedAt)} from ${from}`, {}, from);
  } else if (decision.answerTimed && binding.policy.sources.timeout !== undefined) {
    const from = sourceOf(decision, "timeout");
    add("deadline", "ok", `${ms(binding.policy.timeout)} from ${from}, until the answer began`, {}, from);
  }
  if (decision.breakerRefused) {
    add(
      "breaker",
      "denied",
      `${decision.breakerOf} is open (${breakerText(decision)}); a probe goes in ${ms(decision.breakerReopensMs)}`,
      {
        reopensInMs: decision.breakerReopensMs,
        calls: decision.breakerCalls,
        failures: decision.breakerFailures,
        slow: decision.breakerSlow,
        consecutive: decision.breakerConsecutive,
      },
      sourceOf(decision, "breaker"),
    );
  }
  if (decision.noEndpoint !== "") {
    const text =
      decision.noEndpoint === "overflow"
        ? `every endpoint of ${binding.name} has as many calls as ${sourceOf(decision, "limits")} allows`
        : `no healthy endpoint of ${binding.name}${decision.subset === "" ? "" : ` in subset ${decision.subset}`}; ${decision.known} of ${binding.group.service} are known`;
    add(
      "endpoint",
      "failed",
      text,
      { known: decision.known },
      decision.noEndpoint === "overflow" ? sourceOf(decision, "limits") : "",
    );
  }
  if (decision.stop !== "" && decision.standby === "" && !endedByAnswer(decision)) {
    const values: Record<string, number | string> = {};
    if (decision.budgetSize > 0) {
      values.budgetLeft = decision.budgetLeft;
      values.budgetSize = decision.budgetSize;
    }
    if (decision.backoffDraw >= 0) values.backoffDraw = decision.backoffDraw;
    add(`attempt ${decision.attempts.length + 1}`, "skipped", stopText(decision), values, sourceOf(decision, "retry"));
  }
  addResilience(decision, binding, add);
  return steps;
}

/** The last attempt's answer is about the request (404, not_found): nobody expects another attempt, so nothing is told about it. */
export function endedByAnswer({ stop, attempts }: CallDecision): boolean {
  return stop === "condition" && ABOUT_THE_REQUEST.test(attempts.at(-1)?.outcome ?? "");
}

const ABOUT_THE_REQUEST =
  /^(http_4(?!08|25|29)|grpc_(invalid_argument|not_found|already_exists|permission_denied|failed_precondition|out_of_range|unimplemented|unauthenticated)$)/;

/** "TrafficPolicy payments", or "the default". */
export function sourceOf(decision: CallDecision, field: PolicyFieldName): string {
  return decision.binding?.policy.sources[field] ?? "the default";
}

function stopText(decision: CallDecision): string {
  switch (decision.stop as Exclude<RetryStop, "">) {
    case "off":
      return "retries are off";
    case "condition":
      return `not made: ${decision.attempts.at(-1)?.outcome ?? "this"} is not retried`;
    case "attempts":
      return "not made: all attempts are used";
    case "caller-retries":
      return "not made: the caller retries itself";
    case "body":
      return `not made: the request body is larger than the ${decision.binding?.policy.retry.bufferBytes ?? 0} bytes kept`;
    case "not-idempotent":
      return "not made: the call is not idempotent";
    case "budget":
      return `not made: budget left ${decision.budgetLeft} of ${decision.budgetSize}`;
    case "max-retries":
      return `not made: as many retries are under way as limits.maxRetries allows (${sourceOf(decision, "limits")})`;
    case "stand-by":
      return "not made: a stand-by service is asked once";
    case "deadline":
      return `not made  deadline: ${ms(decision.leftMs)} left, ${ms(decision.neededMs)} needed`;
    case "pushback":
      return "not made: the server asked not to retry";
    case "committed":
      return "not made: the answer had begun";
  }
}
