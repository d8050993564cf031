import type { Binding, Plan } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";
import { sentFields } from "./request-values.ts";

/*
 * Session persistence (route/session.ts) in a call: which backend and endpoint its token names, and which token its answer gives.
 *
 *     P1  The endpoint of a session is tried first, when it is one of the rule's backends with a weight, and in rotation.
 *     P2  Every answer that is delivered leaves the caller with a token of the endpoint that gave it.
 */

/** The backend that the call's session is with; null without one. Leaves the endpoint in `state.preferred`. */
export function sessionBinding(state: CallState): Binding | null {
  const { bindings, rule } = state.plan as Plan;
  const { session } = rule;
  if (session === null) return null;
  const { shared, decision, tape } = state;
  const { table, wallAt } = shared;
  const token = session.tokenOf(sentFields(state), wallAt + decision.startedAt);
  state.session = token;
  let at = -1;
  for (let i = 0; token !== null && at < 0 && i < bindings.length; i++) {
    const { group, weight } = bindings[i];
    const slot = weight === 0 ? -1 : session.slotOf(token, group, table.endpoints);
    if (slot < 0) continue;
    state.preferred = slot;
    at = i;
  }
  at = tape.read(at);
  decision.session = at >= 0 ? "kept" : token === null ? "none" : "gone";
  return at < 0 || at >= bindings.length ? null : bindings[at];
}

/** The slot of the session's endpoint for the first attempt, -1 when it cannot take it. */
export function preferredSlot(state: CallState, now: number): number {
  const { preferred, shared, avoid, decision } = state;
  const { table } = shared;
  const { group, policy } = state.binding as Binding;
  if (decision.attempts.length > 0 || state.binding !== state.ahead || avoid.includes(preferred)) return -1;
  if (group.inFlight >= policy.limits.maxInFlight) return -1;
  if (table.inFlight[preferred] >= policy.limits.maxInFlightPerEndpoint) return -1;
  return table.inRotation(preferred, now) ? preferred : -1;
}

/** Adds the token of the endpoint whose answer is delivered, unless the caller has it. */
export function giveSession(state: CallState, { to }: Attempt, now: number): void {
  const { session } = (state.plan as Plan).rule;
  if (session === null || to === null || state.standby) return;
  const path = state.facts?.match?.cookiePath ?? "/";
  const field = session.fieldFor(to.id, state.session, path, state.shared.wallAt + now, state.caller.secure);
  if (field !== null) state.addResponseField(field[0], field[1]);
}
