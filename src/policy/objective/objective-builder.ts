import { durationText, policyName, type TargetInput, targetOf } from "../resource/builder-parts.ts";
import { type Duration, type Resource, type TargetRef, WEFT_API } from "../resource/resources.ts";
import type { BurnSpec, ObjectiveSpec, ShedSpec } from "./objective-resource.ts";

/**
 * Makes an Objective. Every method gives a new builder and leaves the old one as it was.
 *
 *     objective("orders").availability(99.9).latency(99, "300ms").shed({ below: 4 }, { when: "spent", methods: ["orders.v1.Orders/List"] })
 */
export interface ObjectiveBuilder {
  /** Also for this target. Calls to all targets share the budget. */
  and(target: TargetInput): ObjectiveBuilder;
  /** Percent of calls that are not bad. `bad`: HTTP and gRPC statuses; default what is the server's fault. */
  availability(target: number, bad?: readonly string[]): ObjectiveBuilder;
  /** Percent of calls that are answered within a time. Numbers are milliseconds. */
  latency(target: number, within: Duration | number, until?: "end" | "head"): ObjectiveBuilder;
  /** Over what time the promise holds. Default 30 days. */
  over(window: Duration | number): ObjectiveBuilder;
  burns(...burns: readonly BurnSpec[]): ObjectiveBuilder;
  /** With fewer calls in a window nothing is concluded. Default 100. */
  minCalls(calls: number): ObjectiveBuilder;
  /** Which calls are turned away first while the budget burns. */
  shed(...entries: readonly ShedSpec[]): ObjectiveBuilder;
  named(name: string): ObjectiveBuilder;
  resources(): readonly Resource[];
}

/** Begins an objective for a service, a method ("a.B/C"), the system ("*"), or a target in full. It needs `availability` or `latency`. */
export function objective(target: TargetInput): ObjectiveBuilder {
  return make(null, [targetOf(target)], {});
}

function make(name: string | null, targetRefs: readonly TargetRef[], spec: ObjectiveSpec): ObjectiveBuilder {
  const change = (changes: ObjectiveSpec): ObjectiveBuilder => make(name, targetRefs, { ...spec, ...changes });
  return {
    and: (target) => make(name, [...targetRefs, targetOf(target)], spec),
    availability: (target, bad) => change({ availability: { target, ...(bad === undefined ? {} : { bad }) } }),
    latency: (target, within, until) =>
      change({ latency: { target, within: durationText(within), ...(until === undefined ? {} : { until }) } }),
    over: (window) => change({ window: durationText(window) }),
    burns: (...burns) => change({ burns }),
    minCalls: (minCalls) => change({ minCalls }),
    shed: (...entries) => change({ shed: [...(spec.shed ?? []), ...entries] }),
    named: (chosen) => make(chosen, targetRefs, spec),
    resources: () => [
      {
        apiVersion: WEFT_API,
        kind: "Objective",
        metadata: { name: name ?? policyName(targetRefs[0]) },
        spec: { targetRefs, ...spec },
      },
    ],
  };
}
