import { FIELD_NAME, FIELD_VALUE, METHODS } from "../resource/common-shapes.ts";
import { durationMs } from "../resource/duration.ts";
import { defined, type PolicyField } from "../resource/policy-field.ts";
import type { Duration } from "../resource/resources.ts";
import { bool, duration, list, number, object, oneOf, text } from "../resource/shape.ts";
import type { OverloadSettings } from "./overload.ts";

/** TrafficPolicy.spec.admission: which calls a process that is too busy turns away. Enforced by gateways and services. */
export interface AdmissionSpec {
  /** False switches it off. Default true. */
  readonly enabled?: boolean;
  /** 0..1: utilisation of the event loop from which calls are turned away, default 0.95; 0: not by this. */
  readonly eventLoop?: number;
  /** 0..1 of one core. Default 0: not by this. */
  readonly cpu?: number;
  /** How late the event loop may be. Default "0s": not by this. */
  readonly loopDelay?: Duration;
  /** 0..1: how far below its threshold a ratio must fall before more is admitted again, default 0.05. */
  readonly hysteresis?: number;
  /** How long a threshold must be passed, default "300ms". */
  readonly sustained?: Duration;
  /** Of calls that nobody says otherwise of: 0 (goes first) to 10 (never turned away), default 5. */
  readonly priority?: number;
  /** The first that matches counts. A list replaces that of a less specific policy. */
  readonly priorities?: readonly PrioritySpec[];
  /** Turn away calls with less time left than half of them need. Default true. */
  readonly deadline?: boolean;
}

/** All conditions hold together; without `value` the header or claim must be there. */
export interface PrioritySpec {
  readonly priority: number;
  readonly header?: { readonly name: string; readonly value?: string };
  /** Of the verified token. Admission then comes after authentication. */
  readonly claim?: { readonly name: string; readonly value?: string };
  /** Of the peer: a SPIFFE id. */
  readonly identity?: string;
  readonly method?: string;
}

export interface AdmissionSettings extends OverloadSettings {
  readonly priority: number;
  readonly priorities: readonly PrioritySpec[];
  readonly deadline: boolean;
}

const PRIORITY = number(0, 10, true);
const RATIO = number(0, 1, false);
const claimName = text('a name, or several with dots between: "tenant.tier"', /^[\w-]+(\.[\w-]+)*$/, 256);

/** Every field counts for itself; without one nothing is turned away. */
export const admissionField: PolicyField<AdmissionSpec, AdmissionSettings | null> = {
  check: object({
    enabled: bool,
    eventLoop: RATIO,
    cpu: RATIO,
    loopDelay: duration(true),
    hysteresis: RATIO,
    sustained: duration(true),
    priority: PRIORITY,
    priorities: list(
      object(
        {
          priority: PRIORITY,
          header: object({ name: FIELD_NAME, value: FIELD_VALUE }, ["name"]),
          claim: object({ name: claimName, value: text() }, ["name"]),
          identity: text(),
          method: oneOf(METHODS),
        },
        ["priority"],
        (value, path, report) => {
          if (Object.keys(value as object).length < 2)
            report(
              path,
              'has no condition: add "header", "claim", "identity" or "method", or use "priority" beside the list',
            );
        },
      ),
      0,
      64,
    ),
    deadline: bool,
  }),
  over: (under, spec) => ({ ...under, ...defined(spec) }),
  compile(spec) {
    if (spec === null || spec.enabled === false) return null;
    return {
      eventLoop: spec.eventLoop ?? 0.95,
      cpu: spec.cpu ?? 0,
      loopDelayMs: durationMs(spec.loopDelay ?? "0s"),
      hysteresis: spec.hysteresis ?? 0.05,
      sustainedMs: durationMs(spec.sustained ?? "300ms"),
      priority: spec.priority ?? 5,
      priorities: spec.priorities ?? [],
      deadline: spec.deadline ?? true,
    };
  },
};
