import type { Place } from "../../core/errors.ts";
import { ms } from "../resource/duration.ts";
import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { CheckedSystem } from "./checked-system.ts";
import { type EffectiveTarget, effectiveTargets, placeOfField, policyOfCalls } from "./effective-policies.ts";
import { type Finding, finding } from "./finding.ts";

/**
 * Time-outs that cannot be met together: an attempt that may take longer than its call, retries for which no time is left, a hedge that begins when all is over, and
 * a service that gives its own callees more time than its callers give it. Only what somebody has written is told.
 */
export function unmetDeadlines(system: CheckedSystem): Finding[] {
  const findings = new Map<string, Finding>();
  const add = (place: Place, message: string, suggestion: string): void => {
    findings.set(`${JSON.stringify(place)} ${message}`, finding("deadline-not-met", place, message, suggestion));
  };
  for (const target of effectiveTargets(system)) withinOne(system, target, add);
  for (const [caller, callees] of system.needs) for (const callee of callees) between(system, caller, callee, add);
  return [...findings.values()];
}

type Add = (place: Place, message: string, suggestion: string) => void;

function withinOne(system: CheckedSystem, target: EffectiveTarget, add: Add): void {
  const { policy, backend } = target;
  const { timeout, perTryTimeout, retry, hedge } = policy;
  const timeoutPlace = placeOfField(system, target, "timeout");
  const tryPlace = placeOfField(system, target, "perTryTimeout");
  const place = tryPlace ?? timeoutPlace;
  if (place !== null && finite(perTryTimeout) && perTryTimeout > timeout) {
    add(
      place,
      `one attempt at ${backend} may take ${ms(perTryTimeout)} and its whole call ${ms(timeout)}: perTryTimeout never acts`,
      "make perTryTimeout shorter than timeout, or leave it out",
    );
  } else if (place !== null && finite(perTryTimeout) && finite(timeout)) {
    const needed = worstMs(policy);
    const fit = attemptsThatFit(policy);
    if (needed > timeout && fit < 1 + retry.attempts) {
      add(
        place,
        `${1 + retry.attempts} attempts at ${backend} of ${ms(perTryTimeout)} each with their back-off take ${ms(needed)} at worst, and the call has ${ms(timeout)}: ` +
          `${fit} of them fit`,
        `timeout: ${Math.ceil(needed)}ms, a shorter perTryTimeout, or retry.attempts: ${Math.max(0, fit - 1)}`,
      );
    }
  }
  const hedgePlace = placeOfField(system, target, "hedge");
  if (hedge !== null && hedgePlace !== null && hedge.afterMs >= 0) {
    const after = Math.max(hedge.afterMs, hedge.notBeforeMs);
    const limit = Math.min(timeout, hedge.onTryTimeout ? Number.POSITIVE_INFINITY : perTryTimeout);
    if (after >= limit) {
      add(
        hedgePlace,
        `a hedge of ${backend} begins after ${ms(after)}, when the attempt's ${ms(limit)} are over: it is never made`,
        "hedge earlier",
      );
    }
  }
  const { baseMs, maxMs } = retry;
  const retryPlace = placeOfField(system, target, "retry");
  if (retryPlace !== null && baseMs > maxMs) {
    add(
      retryPlace,
      `the shortest back-off of ${backend}, ${ms(baseMs)}, is longer than the longest, ${ms(maxMs)}`,
      "swap retry.backoff.base and max",
    );
  }
}

/** What a service allows its callees, against what its own callers allow it. */
function between(system: CheckedSystem, caller: string, callee: string, add: Add): void {
  const outer: EffectiveTarget = {
    backend: caller,
    service: caller,
    rule: null,
    policy: policyOfCalls(system.resources, caller),
  };
  const inner: EffectiveTarget = {
    backend: callee,
    service: callee,
    rule: null,
    policy: policyOfCalls(system.resources, callee),
  };
  const outerPlace = placeOfField(system, outer, "timeout");
  const innerPlace = placeOfField(system, inner, "timeout") ?? placeOfField(system, inner, "perTryTimeout");
  if (outerPlace === null || innerPlace === null) return; // defaults are the same for all
  const has = outer.policy.timeout;
  const needs = Math.min(inner.policy.timeout, worstMs(inner.policy));
  if (!finite(has) || !finite(needs) || has >= needs) return;
  add(
    outerPlace,
    `callers give ${caller} ${ms(has)}, and ${caller} gives ${callee} ${ms(needs)}: the call is cut off before ${callee}'s time-out and retries can act`,
    `a timeout of ${caller} above ${ms(needs)}, or a shorter one of ${callee}`,
  );
}

/** Ms of all attempts and the longest back-off between them; Infinity when one attempt is not limited. */
function worstMs({ perTryTimeout, retry }: EffectivePolicy): number {
  let total = perTryTimeout;
  for (let attempt = 1; attempt <= retry.attempts; attempt++) total += perTryTimeout + longestBackOff(retry, attempt);
  return total;
}

/** Attempts that can begin and have all their time. */
function attemptsThatFit({ timeout, perTryTimeout, retry }: EffectivePolicy): number {
  let spent = perTryTimeout;
  let fit = spent <= timeout ? 1 : 0;
  for (let attempt = 1; attempt <= retry.attempts; attempt++) {
    spent += perTryTimeout + longestBackOff(retry, attempt);
    if (spent <= timeout) fit++;
  }
  return fit;
}

function longestBackOff({ baseMs, maxMs }: EffectivePolicy["retry"], attempt: number): number {
  return Math.min(maxMs, baseMs * 2 ** (attempt - 1));
}

function finite(value: number): boolean {
  return value !== Number.POSITIVE_INFINITY;
}
