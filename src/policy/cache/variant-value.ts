import type { CallState } from "../machine/call-state.ts";

/**
 * The value of a request field as the service will see it (a gate may have added or taken out fields), in the form in which variants are compared (RFC 9111
 * section 4.1): lines joined, white space around commas dropped; what is negotiated also without case. "" when it is absent.
 */
export function variantValue(call: CallState, name: string): string {
  const { request, requestAdd, requestRemove } = call;
  const { asSent } = call.caller;
  const { fields, authority } = asSent ?? request;
  if (name === "host") return authority.toLowerCase();
  let value = requestRemove?.includes(name) ? "" : joined(fields, name);
  if (requestAdd !== null)
    value = value === "" ? joined(requestAdd, name) : [value, joined(requestAdd, name)].filter(Boolean).join(",");
  return NEGOTIATED.has(name) ? value.toLowerCase() : value;
}

export function joined(fields: readonly string[], name: string): string {
  let value = "";
  let found = false;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    const said = fields[i + 1];
    // Not by an expression: one that looks for space before a comma takes seconds for 60,000 spaces.
    const line = said.includes(",") ? said.split(",").map(trimmed).join(",") : said.trim();
    value = found ? `${value},${line}` : line;
    found = true;
  }
  return value;
}

function trimmed(text: string): string {
  return text.trim();
}

const NEGOTIATED: ReadonlySet<string> = new Set(["accept", "accept-encoding", "accept-language", "accept-charset"]);
