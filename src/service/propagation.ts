import { isBelieved, parseCallerAttempt } from "../call/caller-attempt.ts";
import type { AmbientCall } from "../call/client-types.ts";
import { fieldOf } from "../core/fields.ts";
import { PRIORITY_FIELD } from "../policy/admission/priority.ts";
import type { CallScope } from "./call-scope.ts";
import type { ServerCallState } from "./server-call.ts";

/**
 * What the calls of a handler inherit from the call that it answers: deadline, cancellation, that it is a retry, trace (W3C traceparent and tracestate), request
 * id and lane. Undefined outside of a call.
 */
export function ambientCall(scope: CallScope): AmbientCall | undefined {
  const call = scope.current();
  if (call === undefined) return undefined;
  return new Inherited(call);
}

class Inherited implements AmbientCall {
  readonly #call: ServerCallState;
  readonly deadline: number;
  readonly extraFields: readonly string[] | null;
  readonly callerAttempt: number;
  readonly requestId: string;

  constructor(call: ServerCallState) {
    this.#call = call;
    this.deadline = call.deadline;
    this.requestId = call.requestId;
    this.callerAttempt = isBelieved(call.peer) ? parseCallerAttempt(call.fields) : 0;
    this.extraFields = inheritedFields(call);
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

/** The fields that pass on, made once for each served call. */
function inheritedFields(call: ServerCallState): readonly string[] {
  let fields = call.inherited;
  if (fields === null) {
    fields = ["x-request-id", call.requestId];
    for (const name of PASSED_ON) {
      const value = fieldOf(call.fields, name);
      if (value !== undefined && value.length <= MAX_VALUE_LENGTH) fields.push(name, value);
    }
    // Of a call's importance only those are believed who proved who they are, and so it goes on only from them.
    const priority = call.peer.identity === "" ? undefined : fieldOf(call.fields, PRIORITY_FIELD);
    if (priority !== undefined && priority.length <= 2) fields.push(PRIORITY_FIELD, priority);
    call.inherited = fields;
  }
  return fields;
}

const PASSED_ON = ["traceparent", "tracestate", "x-weft-lane"] as const;
/** What a caller gives is multiplied by every call that follows from it. */
const MAX_VALUE_LENGTH = 512;
