import { hash } from "node:crypto";

/** What a GET answer becomes: status 200 with the body, or 304 without. `fields` are to be added to the response (flat, lower-case). */
export interface ConditionalAnswer {
  status: number;
  fields: string[];
  body: Uint8Array;
}

/**
 * Adds a weak ETag (of the body) to a successful GET or HEAD answer, and answers 304 when the caller has it already.
 * An `etag` among `responseFields` is used instead. Source: RFC 9110, sections 8.8.3, 13.1.2 and 15.4.5.
 *
 * @param ifNoneMatch the request's field, undefined when absent
 */
export function conditionalAnswer(
  ifNoneMatch: string | undefined,
  responseFields: readonly string[],
  body: Uint8Array,
): ConditionalAnswer {
  let etag = "";
  for (let i = 0; i < responseFields.length; i += 2) if (responseFields[i] === "etag") etag = responseFields[i + 1];
  const fields = etag === "" ? ["etag", (etag = weakEtag(body))] : [];
  // A cache may keep the answer but has to ask again, unless the service said otherwise.
  if (!responseFields.some((name, index) => index % 2 === 0 && name === "cache-control"))
    fields.push("cache-control", "no-cache");
  if (ifNoneMatch === undefined || !etagMatches(ifNoneMatch, etag)) return { status: 200, fields, body };
  return { status: 304, fields, body: new Uint8Array() };
}

/** W/"27 characters of SHA-1": weak, since compression on the way may change the bytes but not the meaning. */
export function weakEtag(body: Uint8Array): string {
  return `W/"${hash("sha1", body, "base64url")}"`;
}

/** If-None-Match by weak comparison. */
export function etagMatches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === "*") return true;
  const opaque = etag.replace(/^W\//, "");
  for (const [, tag] of ifNoneMatch.matchAll(/(?:W\/)?("[^"]*")/g)) if (tag === opaque) return true;
  return false;
}
