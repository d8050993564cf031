import type { ExternalAnswer } from "./questions.ts";

/** What of an answer may be written down: of credentials and sessions nothing (the tape holds who it was), of external authorization only the verdict. */
export function recordableAnswer(kind: string, answer: unknown): unknown {
  if (kind === "secret" || kind === "session" || kind === "token") return null;
  if (kind !== "external-authorization" || answer === null) return answer;
  const { allowed, status } = answer as ExternalAnswer;
  return { allowed, status, fields: [], removeFields: [], body: null, message: "" };
}
