import type { Query, QueryKind } from "../../policy/machine/query.ts";

/** Answers one kind of query. Calls `answer` once, at any time; null when what was asked could not be had. Must not throw. */
export type QueryHandler = (query: Query, answer: (result: unknown) => void) => void;

/** One function for CarrierOptions.query out of handlers for the kinds that this process can answer; the others are answered with null at once. */
export function composeQueries(handlers: Partial<Record<QueryKind, QueryHandler>>): QueryHandler {
  return (query, answer) => {
    const handler = handlers[query.kind];
    if (handler === undefined) answer(null);
    else handler(query, answer);
  };
}
