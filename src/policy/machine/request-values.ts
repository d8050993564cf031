import type { CallRequest } from "../call.ts";
import type { CallState } from "./call-state.ts";

/** The request as the caller sent it, when the gateway made another of it. */
export function sentBy({ caller, request }: CallState): CallRequest {
  return caller.asSent ?? request;
}

/** Its fields, with what a typed client sends beside them. */
export function sentFields(call: CallState): readonly string[] {
  const { fields } = sentBy(call);
  const { extraFields } = call.caller;
  return extraFields && extraFields.length > 0 ? [...fields, ...extraFields] : fields;
}

/**
 * The fields of the request as the caller sent it, but for those that gates alone say (claims of a verified credential, an external check's word on the user):
 * these as gates said them. For what comes behind those gates.
 */
export function knownFields(call: CallState): readonly string[] {
  const fields = sentFields(call);
  const { requestAdd, vouched } = call;
  if (!vouched) return fields;
  const known: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    if (vouched.includes(name) || (name.includes("_") && vouched.includes(name.replaceAll("_", "-")))) continue;
    known.push(name, fields[i + 1]);
  }
  if (requestAdd !== null) {
    for (let i = 0; i < requestAdd.length; i += 2)
      if (vouched.includes(requestAdd[i])) known.push(requestAdd[i], requestAdd[i + 1]);
  }
  return known;
}

/** A query parameter, decoded, so that another spelling of a value is no other value; "" without it. */
export function queryValue({ path }: CallRequest, name: string): string {
  const mark = path.indexOf("?");
  if (mark < 0) return "";
  for (const pair of path.slice(mark + 1).split("&")) {
    const equals = pair.indexOf("=");
    const given = equals < 0 ? pair : pair.slice(0, equals);
    if (given === name || decoded(given) === name) return equals < 0 ? "" : decoded(pair.slice(equals + 1));
  }
  return "";
}

/** Percent-decoded, "+" as a space; as it is when it cannot be. */
export function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
