import { fieldOf } from "../../core/fields.ts";
import type { LocalResponse } from "../call.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import { parseHttpDate } from "./http-date.ts";
import type { StoredResponse } from "./stored-response.ts";
import { joined } from "./variant-value.ts";

/**
 * What a stored response answers to a request: itself, 304 when the caller has it already (RFC 9111 section 4.3.2; RFC 9110 section 13), or the part asked for
 * (one range; several are answered by the whole, as RFC 9110 section 14.2 allows).
 */
export function storedAnswer(
  stored: StoredResponse,
  method: string,
  request: readonly string[],
  now: number,
  wallAt: number,
): LocalResponse {
  const { status, fields, body } = stored;
  const all = [...fields, "age", String(Math.floor(stored.ageMs(now) / 1000))];
  if (status === 200 && notModified(stored, request, now + wallAt)) {
    return { error: null, status: 304, fields: all.filter(forNotModified(all)), body: null };
  }
  if (status === 200 && method === "GET") {
    const range = fieldOf(request, "range");
    if (range !== undefined && rangeHolds(stored, fieldOf(request, "if-range"))) {
      const part = rangeOf(range, body.length);
      if (part === "unsatisfiable") {
        return {
          error: null,
          status: 416,
          fields: ["content-range", `bytes */${body.length}`, "content-length", "0"],
          body: null,
        };
      }
      if (part !== null) {
        const [start, end] = part;
        all.push("content-range", `bytes ${start}-${end - 1}/${body.length}`, "content-length", String(end - start));
        return { error: null, status: 206, fields: all, body: body.subarray(start, end) };
      }
    }
  }
  if (status !== 204) all.push("content-length", String(body.length));
  return { error: null, status, fields: all, body: body.length === 0 ? null : body };
}

/** A stored answer is given as the route changes responses now. */
export function withRule(response: LocalResponse, { responseAdd, responseRemove }: Plan["rule"]): LocalResponse {
  if (responseAdd === null && responseRemove === null) return response;
  const fields: string[] = [];
  for (let i = 0; i < response.fields.length; i += 2) {
    if (responseRemove === null || !responseRemove.includes(response.fields[i]))
      fields.push(response.fields[i], response.fields[i + 1]);
  }
  if (responseAdd !== null) fields.push(...responseAdd);
  return { ...response, fields };
}

/** If-None-Match by weak comparison; only without it If-Modified-Since, against Last-Modified, or else the time of the response (section 4.3.2). */
function notModified(
  { etag, lastModified, freshness }: StoredResponse,
  request: readonly string[],
  now: number,
): boolean {
  const noneMatch = joined(request, "if-none-match");
  if (noneMatch !== "") return noneMatch === "*" || (etag !== undefined && tagsOf(noneMatch).includes(weak(etag)));
  const since = fieldOf(request, "if-modified-since");
  const sinceMs = since === undefined ? undefined : parseHttpDate(since, now);
  if (sinceMs === undefined) return false;
  const modifiedMs =
    lastModified === undefined ? freshness.dateMs : (parseHttpDate(lastModified, now) ?? freshness.dateMs);
  return Math.floor(modifiedMs / 1000) * 1000 <= sinceMs; // HTTP dates are of whole seconds
}

function tagsOf(list: string): string[] {
  return Array.from(list.matchAll(/(?:W\/)?("[^"]*")|([^",\s]+)/g), ([, quoted, bare]) => quoted ?? bare);
}

function weak(etag: string): string {
  return etag.replace(/^W\//, "");
}

/** Without If-Range, or when it names this representation: by a strong tag, or by its exact date. */
function rangeHolds({ etag, lastModified }: StoredResponse, condition: string | undefined): boolean {
  if (condition === undefined) return true;
  if (condition.endsWith('"')) return condition === etag && !condition.startsWith("W/");
  return condition === lastModified;
}

/** One range of bytes as [start, end); null for what is not answered as a range. */
function rangeOf(value: string, length: number): readonly [number, number] | "unsatisfiable" | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(value.replace(/[ \t]/g, ""));
  if (match === null || (match[1] === "" && match[2] === "")) return null;
  const first = match[1] === "" ? Math.max(0, length - Number(match[2])) : Number(match[1]);
  const last = match[1] === "" || match[2] === "" ? length - 1 : Math.min(Number(match[2]), length - 1);
  if (match[1] !== "" && match[2] !== "" && Number(match[2]) < first) return null;
  if (first >= length || (match[1] === "" && Number(match[2]) === 0)) return "unsatisfiable";
  return [first, last + 1];
}

/** Of flat fields: those that a 304 carries (RFC 9110 section 15.4.5). */
function forNotModified(fields: readonly string[]): (part: string, index: number) => boolean {
  return (_part, index) => NOT_MODIFIED.has(fields[index - (index % 2)]);
}

const NOT_MODIFIED: ReadonlySet<string> = new Set([
  "age",
  "cache-control",
  "content-location",
  "date",
  "etag",
  "expires",
  "last-modified",
  "vary",
]);
