import type {
  Answer,
  ExplainCallRequest,
  ExplainCallResponseSchema,
  ProcessDecisionsSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import type { Session } from "./session.ts";

/**
 * Asks every attached process what it remembers of a call. Who does not answer in time is named; the others' answers stand. One question becomes as many as there
 * are processes, so only a few are answered at a time, and what comes back is bounded in all: who answers when it is spent counts as silent.
 */
export function createCallExplainer(
  sessions: Iterable<Session>,
): (request: ExplainCallRequest) => Promise<MessageInitShape<typeof ExplainCallResponseSchema>> {
  let open = 0;
  return async ({ requestId, timeoutMs }) => {
    if (requestId === "" || requestId.length > MAX_ID) {
      throw new WeftError("invalid_argument", `a request id has 1 to ${MAX_ID} characters`, {
        reason: "BAD_REQUEST_ID",
        place: { field: "request_id" },
      });
    }
    if (open >= MAX_AT_ONCE) {
      throw new WeftError("resource_exhausted", `${MAX_AT_ONCE} calls are being explained already; try again`, {
        reason: "TOO_MANY_QUESTIONS",
        retryable: true,
      });
    }
    open++;
    try {
      return await askAll(sessions, requestId, Math.min(timeoutMs || DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS));
    } finally {
      open--;
    }
  };
}

async function askAll(
  sessions: Iterable<Session>,
  requestId: string,
  waitMs: number,
): Promise<MessageInitShape<typeof ExplainCallResponseSchema>> {
  const question = { requestId, limit: MAX_DECISIONS };
  const asked = [...sessions].filter(({ hello }) => hello !== null);
  let room = MAX_CHARS;
  const heard = (answer: Answer | null): Answer | null => {
    for (const { decision, request } of answer?.decisions ?? []) room -= decision.length + request.length;
    return room < 0 ? null : answer;
  };
  const answers = await Promise.all(asked.map((session) => session.findDecisions(question, waitMs).then(heard)));
  const processes: MessageInitShape<typeof ProcessDecisionsSchema>[] = [];
  const silent: string[] = [];
  asked.forEach((session, i) => {
    const { process = "", node = "" } = session.hello ?? {};
    const answer = answers[i];
    if (answer === null) silent.push(process);
    else if (answer.decisions.length > 0) {
      const decisions = answer.decisions.slice(0, MAX_DECISIONS);
      processes.push({ process, node, endpoints: [...session.leaseIds()], decisions });
    }
  });
  return { processes, silent, asked: asked.length };
}

const MAX_AT_ONCE = 8;
/** Of all answers together. */
const MAX_CHARS = 16_777_216;
const MAX_ID = 128;
/** Of one process about one call: a handler that makes more calls shows its first. */
const MAX_DECISIONS = 64;
const DEFAULT_TIMEOUT_MS = 2_000;
const MAX_TIMEOUT_MS = 10_000;
