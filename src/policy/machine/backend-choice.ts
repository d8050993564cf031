import { pickEndpoint } from "../balance/balancer.ts";
import { Effect } from "../call.ts";
import type { Binding, Plan } from "../snapshot/snapshot.ts";
import { Attempt } from "./attempt.ts";
import type { CallState } from "./call-state.ts";

/** The backend of the plan that this call goes to: the only one, or one drawn by weight. Null when none has a weight. */
export function chooseBackend({ plan, decision, tape }: CallState): Binding | null {
  const { bindings, rule } = plan as Plan;
  let binding = bindings[0];
  if (rule.totalWeight === 0) return null;
  if (bindings.length === 1) return binding;
  decision.splitDraw = tape.next();
  let left = decision.splitDraw * rule.totalWeight;
  for (const candidate of bindings) {
    if (candidate.weight === 0) continue;
    binding = candidate;
    if ((left -= candidate.weight) < 0) break;
  }
  return binding;
}

/** Sends copies of the request where the plan says so, answers ignored. */
export function sendMirrors(state: CallState, now: number): void {
  const { table } = state.shared;
  const { balancer } = (state.binding as Binding).policy;
  for (const { group, percent } of (state.plan as Plan).mirrors) {
    if (percent < 100 && state.tape.next() * 100 >= percent) continue;
    const slot = pickEndpoint(table, group, balancer, Number.POSITIVE_INFINITY, NO_SLOTS, state.tape, now, MIRROR_PICK);
    const endpoint = slot < 0 ? null : table.endpoints[slot];
    if (endpoint !== null) state.effects.push(Effect.mirror, state.mirrors.push(endpoint) - 1, 0);
  }
}

const NO_SLOTS: readonly number[] = [];
const MIRROR_PICK = new Attempt();
