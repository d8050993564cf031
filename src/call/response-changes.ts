import { type Head, responseHead } from "../wire/head.ts";

/** The response head with a route's header changes: what is removed is removed before `add` is appended. Itself when nothing changes. */
export function changedResponse(head: Head, add: readonly string[] | null, remove: readonly string[] | null): Head {
  if (add === null && remove === null) return head;
  const fields: string[] = [];
  for (let i = 0; i < head.fields.length; i += 2) {
    if (remove === null || !remove.includes(head.fields[i])) fields.push(head.fields[i], head.fields[i + 1]);
  }
  if (add !== null) fields.push(...add);
  return responseHead(head.status, fields);
}
