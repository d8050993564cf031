import type { Answer, EqualityRequest } from "./model.ts";

/**
 * What a browser makes of an answer to a page of another origin (Fetch, "CORS check" and "CORS-preflight fetch"): whether the page may read it, and of a preflight
 * whether the request may be made. How a place says so, "*" or the origin, 200 or 204, is its own business.
 */
export function asBrowsersSee({ method, headers: sent }: EqualityRequest, answer: Answer): Answer {
  const asked = (name: string): string | undefined => sent.find(([field]) => field === name)?.[1];
  const origin = asked("origin");
  if (origin === undefined) {
    const { vary: _vary, ...headers } = answer.headers;
    return { ...answer, headers };
  }
  const said = (name: string): readonly string[] => answer.headers[`access-control-${name}`] ?? [];
  const mayRead = said("allow-origin").includes(origin) || said("allow-origin").includes("*");
  const credentials = said("allow-origin").includes(origin) && said("allow-credentials").includes("true");
  const rest = Object.entries(answer.headers).filter(
    ([name]) => !name.startsWith("access-control-") && name !== "vary",
  );
  const verdict = (name: string, value: string): [string, string[]] => [name, [value]];
  const read = mayRead ? [verdict("page", credentials ? "reads, with credentials" : "reads")] : [];
  const wanted = asked("access-control-request-method");
  const ofPlace = answer.headers["x-origin"] === undefined;
  const isAnswered = answer.status === 200 || answer.status === 204 || answer.reason === "CORS_ORIGIN";
  if (method !== "OPTIONS" || wanted === undefined || !ofPlace || !isAnswered) {
    // Where one origin is named a shared cache may keep the answer for that one alone (Fetch, "CORS protocol and HTTP caches").
    const named =
      said("allow-origin").includes(origin) && !(answer.headers.vary ?? []).some((one) => /^origin$/i.test(one));
    if (named) read.push(verdict("caches", "give it to other pages, too"));
    const exposed =
      mayRead && said("expose-headers").length > 0 ? [verdict("exposed", said("expose-headers").join())] : [];
    return { ...answer, headers: Object.fromEntries([...rest, ...read, ...exposed]) };
  }
  const fields = (asked("access-control-request-headers") ?? "").split(/,\s*/).filter((name) => name !== "");
  const allowed = (list: readonly string[], one: string): boolean => list.includes(one) || list.includes("*");
  const passes =
    mayRead &&
    (SIMPLE.has(wanted) || allowed(said("allow-methods"), wanted)) &&
    fields.every((name) =>
      allowed(
        said("allow-headers").map((field) => field.toLowerCase()),
        name,
      ),
    );
  const kept = passes ? [...read, verdict("for", said("max-age").join())] : [];
  return { ...answer, status: passes ? 204 : 403, reason: "", headers: Object.fromEntries(kept) };
}

const SIMPLE: ReadonlySet<string> = new Set(["GET", "HEAD", "POST"]);
