/** How the outside is asked over HTTP; `fetch` itself, or a test's. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface FetchedJson {
  readonly status: number;
  readonly value: unknown;
  /** The answer's Cache-Control, "" without one. */
  readonly cacheControl: string;
}

/** Asks for JSON. Rejects when there is no answer, no JSON, or more than a megabyte. Redirects are not followed: whom to ask is what the policy says. */
export async function fetchJson(fetch: Fetch, url: string, init: RequestInit, timeoutMs: number): Promise<FetchedJson> {
  const response = await fetch(url, { redirect: "error", ...init, signal: AbortSignal.timeout(timeoutMs) });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > MAX_BYTES) throw new Error(`${url} answers with more than ${MAX_BYTES} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new Error(`${url} answers with HTTP ${response.status} and no JSON`);
  }
  return { status: response.status, value, cacheControl: response.headers.get("cache-control") ?? "" };
}

const MAX_BYTES = 1_048_576;
