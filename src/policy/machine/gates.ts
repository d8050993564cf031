import { admissionGates } from "../admission/admission-gate.ts";
import { cacheGates } from "../cache/cache-gate.ts";
import type { Place } from "../call.ts";
import { adaptiveGates } from "../concurrency/adaptive-gate.ts";
import { faultGates } from "../fault/fault-gate.ts";
import { limitGates } from "../limit/limit-gate.ts";
import { objectiveGates } from "../objective/objective-gate.ts";
import type { Level } from "../resource/level.ts";
import type { Resource, ResourceKind } from "../resource/resources.ts";
import type { Rule } from "../route/rule.ts";
import type { MethodInfo } from "../runtime.ts";
import { authenticateGates } from "../security/authenticate-gate.ts";
import { authorizeGates } from "../security/authorize-gate.ts";
import type { EffectivePolicy } from "../snapshot/effective-policy.ts";
import type { StateKeeper } from "../snapshot/state-keeper.ts";
import type { Gate } from "./gate.ts";

/** What gates are compiled from: one rule's calls to one method, at one place. */
export interface GateContext {
  readonly place: Place;
  readonly rule: Rule;
  readonly method: MethodInfo | null;
  /** As policies name it: "counter.v1.Counter/Count", "counter.v1.Counter" for a method that nobody described, "" for what is not gRPC. */
  readonly methodName: string;
  /** Services that the rule may send to. */
  readonly services: readonly string[];
  /** The policies of the rule's backends, in their order. */
  readonly policies: readonly EffectivePolicy[];
  readonly keeper: StateKeeper;
  /** Resources of a kind that are attached to these calls, the least specific first. */
  attached<Kind extends ResourceKind>(kind: Kind): readonly Extract<Resource, { kind: Kind }>[];
  /** The same with the level at which each is attached, the most specific one; with a service, to calls that go there. */
  attachedAt<Kind extends ResourceKind>(
    kind: Kind,
    service?: string,
  ): readonly (readonly [Level, Extract<Resource, { kind: Kind }>])[];
  /** Every resource of a kind, wherever it is attached. */
  all<Kind extends ResourceKind>(kind: Kind): readonly Extract<Resource, { kind: Kind }>[];
}

/** The gates of a plan, in the order in which a call passes them (design.md, "The call machine"). */
export function compileGates(context: GateContext): readonly Gate[] {
  return [
    ...admissionGates(context, false),
    ...authenticateGates(context),
    ...authorizeGates(context),
    ...admissionGates(context, true),
    ...objectiveGates(context), // knows the priority; counts what was let in
    ...limitGates(context),
    ...faultGates(context),
    ...cacheGates(context),
    ...adaptiveGates(context), // next to what they count
  ];
}
