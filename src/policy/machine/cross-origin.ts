import { fieldOf } from "../../core/fields.ts";
import type { LocalResponse } from "../call.ts";
import { type Cors, isPreflight } from "../route/cors.ts";
import type { CallState } from "./call-state.ts";

/** What a rule's CORS filter does with a call: answers it when it is a preflight, or adds to its answer, wherever that comes from. */
export function crossOrigin(state: CallState, cors: Cors): LocalResponse | null {
  const { decision, caller, request } = state;
  const sent = caller.asSent ?? request;
  const origin = fieldOf(sent.fields, "origin") ?? "";
  if (isPreflight(sent)) {
    const response = cors.preflight(sent);
    decision.cors = response.error === null ? "preflight" : "preflight-denied";
    decision.origin = origin.slice(0, MAX_SHOWN);
    return response;
  }
  const fields = cors.answerFields(origin);
  for (let i = 0; i < fields.length; i += 2) state.addResponseField(fields[i], fields[i + 1]);
  if (origin !== "") {
    decision.cors = cors.allows(origin) ? "allowed" : "denied";
    decision.origin = origin.slice(0, MAX_SHOWN);
  }
  return null;
}

const MAX_SHOWN = 128;
