import { Pick, pickEndpoint } from "../balance/balancer.ts";
import { othersText } from "../balance/others.ts";
import type { Binding } from "../snapshot/snapshot.ts";
import type { Attempt } from "./attempt.ts";
import { readBalanceKey, readSubset } from "./balance-key.ts";
import type { CallState } from "./call-state.ts";
import { preferredSlot } from "./session-choice.ts";

/** The slot of the endpoint that the next attempt goes to, -1 when none can take it. What the balancer looked at is left in `attempt`. */
export function chooseEndpoint(state: CallState, attempt: Attempt, now: number): number {
  return state.tape.on ? byTape(state, attempt, now) : choose(state, attempt, now);
}

function choose(state: CallState, attempt: Attempt, now: number): number {
  const { binding, shared, avoid, tape } = state;
  const { table } = shared;
  const { group, policy } = binding as Binding;
  const { balancer, limits } = policy;
  if (group.inFlight >= limits.maxInFlight) {
    attempt.begin(balancer.kind);
    attempt.candidates = group.slots.length;
    return -1;
  }
  if (state.preferred >= 0) {
    const slot = preferredSlot(state, now);
    if (slot >= 0) {
      attempt.begin("session");
      attempt.candidates = group.slots.length;
      return slot;
    }
  }
  attempt.hash = -1;
  if (balancer.hash.length > 0) readBalanceKey(state, balancer.hash, attempt);
  if (balancer.subset !== null) attempt.wanted = readSubset(state, balancer.subset);
  const slot = pickEndpoint(table, group, balancer, limits.maxInFlightPerEndpoint, avoid, tape, now, attempt);
  if (attempt.skipped > 0 || attempt.resort || shared.record === "all")
    attempt.others = othersText(table, group, slot, limits.maxInFlightPerEndpoint, avoid, now);
  attempt.rivalId = attempt.rival < 0 ? "" : (table.endpoints[attempt.rival]?.id ?? "");
  return slot;
}

/** While a tape is recorded or played, picks go through it whole. */
function byTape(state: CallState, attempt: Attempt, now: number): number {
  const { tape, shared, avoid } = state;
  const { table } = shared;
  const { group, name, policy } = state.binding as Binding;
  const { maxInFlight, maxInFlightPerEndpoint } = policy.limits;
  // Recorded is what differs from a pick that looked at nothing.
  const seen: Record<string, unknown> = {};
  let chosenNow = false;
  const slot = tape.pick(
    name,
    seen,
    table,
    (at) =>
      group.inFlight < maxInFlight &&
      table.inFlight[at] < maxInFlightPerEndpoint &&
      group.slots.includes(at) &&
      table.inRotation(at, now) &&
      !avoid.includes(at),
    () => {
      const chosen = choose(state, attempt, now);
      for (const field of SEEN_FIELDS) if (attempt[field] !== NOTHING_SEEN[field]) seen[field] = attempt[field];
      chosenNow = true;
      return chosen;
    },
  );
  if (!chosenNow) Object.assign(attempt, NOTHING_SEEN, seen);
  return slot;
}

const NOTHING_SEEN = Object.freeze(new Pick());
const SEEN_FIELDS = Object.keys(NOTHING_SEEN) as (keyof Pick)[];
