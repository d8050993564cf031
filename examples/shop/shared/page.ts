import { WeftError } from "weftmesh";

/** A page by key: `limit` rows after the row whose key is `after`. A token is the last key of the page before. */
export interface Page {
  readonly after: string;
  readonly limit: number;
}

export function pageOf(request: { pageSize: number; pageToken: string }): Page {
  if (request.pageSize < 0)
    throw new WeftError("invalid_argument", "page_size must not be negative", {
      reason: "BAD_PAGE",
      place: { field: "page_size" },
    });
  const limit = Math.min(request.pageSize || 20, 100);
  return { after: Buffer.from(request.pageToken, "base64url").toString(), limit };
}

/** Splits rows that were read with one more than `limit` into a page and the token of the next. */
export function cutPage<T extends { id: string }>(
  rows: readonly T[],
  { limit }: Page,
): { items: readonly T[]; nextPageToken: string } {
  const items = rows.slice(0, limit);
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, nextPageToken: last === undefined ? "" : Buffer.from(last.id).toString("base64url") };
}
