import type {
  ExplainCallRequest,
  ExplainCallResponseSchema,
  ProcessDecisionsSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import { FindDecisionsSchema } from "../contract/gen/weft/control/v1/control.ts";
import { create, type MessageInitShape } from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import type { Session } from "./session.ts";

/** Asks every attached process what it remembers of a call. Who does not answer in time is named; the others' answers stand. */
export async function explainCall(
  sessions: Iterable<Session>,
  { requestId, timeoutMs }: ExplainCallRequest,
): Promise<MessageInitShape<typeof ExplainCallResponseSchema>> {
  if (requestId === "" || requestId.length > MAX_ID) {
    throw new WeftError("invalid_argument", `a request id has 1 to ${MAX_ID} characters`, {
      reason: "BAD_REQUEST_ID",
      place: { field: "request_id" },
    });
  }
  const question = create(FindDecisionsSchema, { requestId, limit: MAX_DECISIONS });
  const asked = [...sessions].filter(({ hello }) => hello !== null);
  const waitMs = Math.min(timeoutMs || DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS);
  const answers = await Promise.all(asked.map((session) => session.ask(question, waitMs)));
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

const MAX_ID = 128;
/** Of one process about one call: a handler that makes more calls shows its first. */
const MAX_DECISIONS = 64;
const DEFAULT_TIMEOUT_MS = 2_000;
const MAX_TIMEOUT_MS = 10_000;
