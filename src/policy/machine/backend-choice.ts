import { pickEndpoint } from "../balance/balancer.ts";
import { Effect } from "../call.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import { Attempt } from "./attempt.ts";
import { readBalanceKey, readSubset } from "./balance-key.ts";
import type { CallState } from "./call-state.ts";
import { sessionBinding } from "./session-choice.ts";

/** The backend of the plan that this call goes to: the only one, or one drawn by weight. Null when none has a weight. */
function chooseBackend(state: CallState): Binding | null {
  const { plan, decision, tape } = state;
  const { bindings, rule } = plan as Plan;
  let binding = bindings[0];
  if (rule.totalWeight === 0) return null;
  if (rule.session !== null) {
    const kept = sessionBinding(state);
    if (kept !== null) return kept;
  }
  if (bindings.length === 1) return binding;
  decision.splitDraw = tape.nextSplit();
  let left = decision.splitDraw * rule.totalWeight;
  for (const candidate of bindings) {
    if (candidate.weight === 0) continue;
    binding = candidate;
    if ((left -= candidate.weight) < 0) break;
  }
  return binding;
}

/** The backend that the call will go to, for a gate that must know before it is routed. */
export function bindingAhead(state: CallState): Binding | null {
  return (state.ahead ??= chooseBackend(state));
}

/** Sends copies of the request where the plan says so, answers ignored. */
export function sendMirrors(state: CallState, now: number): void {
  const { table } = state.shared;
  const { balancer } = (state.binding as Binding).policy;
  for (const { group, percent } of (state.plan as Plan).mirrors) {
    if (percent < 100 && state.tape.next() * 100 >= percent) continue;
    const { tape } = state;
    MIRROR_PICK.hash = -1;
    if (balancer.hash.length > 0) readBalanceKey(state, balancer.hash, MIRROR_PICK);
    MIRROR_PICK.wanted = balancer.subset === null ? "" : readSubset(state, balancer.subset);
    const choose = (): number =>
      pickEndpoint(table, group, balancer, Number.POSITIVE_INFINITY, NO_SLOTS, tape, now, MIRROR_PICK);
    const slot = tape.on ? tape.pick("", {}, table, never, choose) : choose();
    const endpoint = slot < 0 ? null : table.endpoints[slot];
    if (endpoint !== null) state.effects.push(Effect.mirror, state.mirrors.push(endpoint) - 1, 0);
  }
}

const NO_SLOTS: readonly number[] = [];
const never = (): boolean => false;
const MIRROR_PICK = new Attempt();
