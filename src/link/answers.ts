import { type Answer, AnswerSchema, type Question } from "../contract/gen/weft/control/v1/control.ts";
import { create } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";
import { type CallContext, type CallRequest, Effect } from "../policy/call.ts";
import type { SuppliedPolicy } from "./types.ts";

/** What this process answers to a question of the control plane; null to one that it does not know, which is what silence is for. */
export function answerTo(
  { questionId, question }: Question,
  policy: Pick<SuppliedPolicy, "journal" | "createCall">,
  clock: Clock,
): Answer | null {
  if (question.case === "probe") return answerToProbe(questionId, policy, clock);
  if (question.case !== "findDecisions") return null;
  const { journal } = policy;
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

/**
 * By what a call is decided now: one that is made up, and that no route can match, so that it passes no gate, reaches nobody and is counted nowhere. Its machine is
 * not given back, and so not remembered.
 */
function answerToProbe(questionId: bigint, policy: Pick<SuppliedPolicy, "createCall">, clock: Clock): Answer | null {
  const call = policy.createCall?.();
  if (call === undefined) return null;
  call.begin(PROBE, PROBE_CONTEXT, false, clock.now());
  while (call.next() !== Effect.none);
  const { revision, endpointVersion } = call.decision;
  return create(AnswerSchema, { questionId, revision: BigInt(revision), endpointVersion: BigInt(endpointVersion) });
}

const PROBE: CallRequest = {
  method: "GET",
  scheme: "http",
  authority: "",
  path: "/",
  protocol: "",
  fields: [],
  memo: null,
};
const PROBE_CONTEXT: CallContext = {
  place: "client",
  service: "",
  asSent: null,
  peerAddress: "",
  peerIdentity: "",
  secure: false,
  deadline: Number.POSITIVE_INFINITY,
  callerAttempt: 0,
  requestId: "probe",
};

const MAX_DECISIONS = 64;
/** One answer must not hold up the line. */
const MAX_BYTES = 1_048_576;
