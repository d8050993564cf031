import { counted } from "../../core/counted.ts";
import { ms } from "../resource/duration.ts";
import type { CallDecision } from "./decision.ts";
import { endedByAnswer, sourceOf } from "./decision-steps.ts";
import { nearestRouteChange } from "./route-steps.ts";

/** The nearest change that would have turned a failed call round, "" when none is known. */
export function nearestChange(decision: CallDecision): string {
  const { plan, binding } = decision;
  if (plan === null) return nearestRouteChange(decision);
  if (decision.cors === "preflight-denied")
    return `allowed with ${decision.origin} among the allowOrigins of ${plan.rule.route}`;
  const refused = decision.notes.findLast(({ verdict }) => verdict === "denied");
  if (refused !== undefined && binding === null) return refused.gate?.nearest?.(refused) ?? "";
  if (binding === null) return "";
  if (decision.breakerRefused) {
    return `would have been tried ${ms(decision.breakerReopensMs)} later, when the breaker of ${decision.breakerOf} lets a probe through`;
  }
  if (decision.noEndpoint === "overflow")
    return `would have passed with higher limits in ${sourceOf(decision, "limits")}`;
  if (decision.noEndpoint === "unhealthy" && decision.subset !== "") {
    return `would have been tried with an endpoint of ${binding.name} in subset ${decision.subset}, or with another subset.fallback in ${sourceOf(decision, "balancer")}`;
  }
  if (decision.noEndpoint === "unhealthy") return `would have been tried with a healthy endpoint of ${binding.name}`;
  switch (decision.stop) {
    case "attempts":
      return `might have passed with more than ${counted(binding.policy.retry.attempts, "retry", "retries")} (${sourceOf(decision, "retry")})`;
    case "off":
      return `might have passed with retries (${sourceOf(decision, "retry")})`;
    case "not-idempotent":
      return "might have passed if its method were marked idempotent, or with retry.nonIdempotent";
    case "budget":
      return `might have passed with a larger retry budget (${sourceOf(decision, "retry")})`;
    case "deadline":
      return `might have passed with ${ms(decision.neededMs - decision.leftMs)} more time`;
    case "body":
      return `might have passed with a retry.bufferBytes that holds the request body (${sourceOf(decision, "retry")})`;
    case "condition": {
      const outcome = decision.attempts.at(-1)?.outcome ?? "";
      return outcome === "" || endedByAnswer(decision)
        ? ""
        : `might have passed if ${outcome.replace(/^(http|grpc)_/, "")} were retried (retry.on)`;
    }
    default:
      break;
  }
  if (decision.outcome.reason === "DEADLINE_EXCEEDED") {
    const limit = decision.deadline - decision.startedAt;
    const from = decision.deadlineOfCaller ? "the caller's" : sourceOf(decision, "timeout");
    return `might have passed with more than ${ms(limit)} (${from})`;
  }
  return "";
}
