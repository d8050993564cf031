import { WeftError } from "../core/errors.ts";
import type { EventQueue } from "./event-queue.ts";
import { assertFaultFields } from "./known-fields.ts";
import type { Replica } from "./replica.ts";
import type { Fault, FaultHandle } from "./types.ts";

/** Has a fault begin and end at these replicas when it says. Throws `invalid_argument` for one that means nothing. */
export function beginFault(replicas: readonly Replica[], given: Fault, events: EventQueue): FaultHandle {
  checkFault(given);
  const fault = { ...given }; // known by itself, also when the same is given again
  const { from = 0, forMs = fault.stallMs } = fault;
  const begin = (): void => {
    for (const replica of replicas) replica.add(fault);
  };
  const clear = (): void => {
    cancelBegin();
    cancelEnd();
    for (const replica of replicas) replica.clear(fault);
  };
  let cancelBegin = (): void => {};
  let cancelEnd = (): void => {};
  if (from > 0) cancelBegin = events.after(from, begin);
  else begin();
  if (forMs !== undefined) cancelEnd = events.after(from + forMs, clear);
  return { clear };
}

function checkFault(fault: Fault): void {
  assertFaultFields(fault);
  for (const name of ["errorRate", "resetRate", "hangRate"] as const) {
    const share = fault[name];
    if (share !== undefined && !(share >= 0 && share <= 1)) bad(name, share, "between 0 and 1");
  }
  for (const name of ["stallMs", "addMs", "from", "forMs"] as const) {
    const ms = fault[name];
    if (ms !== undefined && !(ms >= 0)) bad(name, ms, "at least 0");
  }
  if (fault.slowBy !== undefined && !(fault.slowBy > 0)) bad("slowBy", fault.slowBy, "above 0");
}

function bad(field: string, value: number, rule: string): never {
  throw new WeftError("invalid_argument", `a fault's ${field} must be ${rule}, not ${value}`, {
    reason: "BAD_OPTION",
    place: { field },
  });
}
