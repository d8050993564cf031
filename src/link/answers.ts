import { type Answer, AnswerSchema, type Question } from "../contract/gen/weft/control/v1/control.ts";
import { create } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";
import type { DecisionJournal } from "../policy/decision/journal.ts";

/** What this process answers to a question of the control plane; null to one that it does not know, which is what silence is for. */
export function answerTo(
  { questionId, question }: Question,
  journal: DecisionJournal | null,
  clock: Clock,
): Answer | null {
  if (question.case !== "findDecisions") return null;
  const { requestId, limit } = question.value;
  const epochMs = clock.wallMs() - clock.now();
  const decisions = [];
  let left = MAX_BYTES;
  for (const { request, decision } of journal?.find(requestId, Math.min(limit || MAX_DECISIONS, MAX_DECISIONS)) ?? []) {
    const json = JSON.stringify(decision);
    if ((left -= json.length) < 0) break;
    decisions.push({ request, startedMs: epochMs + decision.startedAt, decision: json });
  }
  return create(AnswerSchema, { questionId, decisions });
}

const MAX_DECISIONS = 64;
/** One answer must not hold up the line. */
const MAX_BYTES = 1_048_576;
