import type { CallRequest } from "../call.ts";

/* What a request says, by name; "" when it does not. */

/** `name` is lower-case. */
export function fieldValue(fields: readonly string[], name: string): string {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return "";
}

export function cookieValue({ fields }: CallRequest, name: string): string {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "cookie") continue;
    for (const pair of fields[i + 1].split(";")) {
      const equals = pair.indexOf("=");
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return "";
}

/** Decoded, so that another spelling of a value is no other value. */
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

function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
