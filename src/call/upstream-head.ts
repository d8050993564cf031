import type { CallContext } from "../policy/call.ts";
import { Head } from "../wire/head.ts";

/** What the carrier derives from a request's head, kept on the head itself (`Head.derived`), so that an interned head is looked at once. */
export class RequestFacts {
  /** A gRPC request (gRPC-Web and Connect are ordinary HTTP here). */
  readonly grpc: boolean;
  /** Its head carries a grpc-timeout. */
  readonly hasTimeout: boolean;
  readonly #request: Head;
  #changed: ChangedHead[] | null = null;

  constructor(request: Head) {
    let grpc = false;
    let hasTimeout = false;
    const fields = request.fields;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === "content-type") grpc = isGrpcContentType(fields[i + 1]);
      else if (fields[i] === "grpc-timeout") hasTimeout = true;
    }
    this.grpc = grpc;
    this.hasTimeout = hasTimeout;
    this.#request = request;
  }

  /**
   * The head to send upstream: the request's own when nothing changes, otherwise a derived one, cached by the identity of the changes
   * (policy makes them once a route), so that its encoded bytes are reused. What is removed is removed before `add` is appended.
   */
  upstreamHead(
    add: readonly string[] | null,
    remove: readonly string[] | null,
    path: string,
    authority: string,
    dropTimeout: boolean,
  ): Head {
    if (add === null && remove === null && path === "" && authority === "" && !dropTimeout) return this.#request;
    const changed = (this.#changed ??= []);
    for (let i = 0; i < changed.length; i++) {
      const entry = changed[i];
      if (
        entry.add === add &&
        entry.remove === remove &&
        entry.path === path &&
        entry.authority === authority &&
        entry.dropTimeout === dropTimeout
      ) {
        return entry.head;
      }
    }
    const head = changeHead(this.#request, add, remove, path, authority, dropTimeout);
    if (changed.length >= MAX_CHANGED) changed.length = 0;
    changed.push({ add, remove, path, authority, dropTimeout, head });
    return head;
  }
}

/** The facts of a request's head, computed at its first use. */
export function factsOf(request: Head): RequestFacts {
  const known = request.derived;
  if (known instanceof RequestFacts) return known;
  const facts = new RequestFacts(request);
  request.derived = facts;
  return facts;
}

/** Whether policy's changes are about fields that a typed client sends beside the head that its method always has. */
export function changesFieldsBeside(
  { extraFields }: CallContext,
  add: readonly string[] | null,
  remove: readonly string[] | null,
): boolean {
  if (!extraFields || (add === null && remove === null)) return false;
  for (let i = 0; i < extraFields.length; i += 2) {
    const name = extraFields[i];
    if (remove?.includes(name)) return true;
    if (add !== null) for (let j = 0; j < add.length; j += 2) if (add[j] === name) return true;
  }
  return false;
}

/** The head with these fields behind its own. */
export function withFields(
  { method, scheme, authority, path, protocol, fields }: Head,
  extra: readonly string[] | null,
): Head {
  return new Head(method, scheme, authority, path, protocol, 0, [...fields, ...(extra ?? [])]);
}

/** "application/grpc", with a suffix or parameters, but not "application/grpc-web". */
export function isGrpcContentType(value: string): boolean {
  if (!value.startsWith("application/grpc")) return false;
  return value.length === 16 || value[16] === "+" || value[16] === ";" || value[16] === " ";
}

interface ChangedHead {
  readonly add: readonly string[] | null;
  readonly remove: readonly string[] | null;
  readonly path: string;
  readonly authority: string;
  readonly dropTimeout: boolean;
  readonly head: Head;
}

/** Variants kept for one head: a route's backends with filters of their own. Changes that are made afresh each call just miss. */
const MAX_CHANGED = 8;

function changeHead(
  request: Head,
  add: readonly string[] | null,
  remove: readonly string[] | null,
  path: string,
  authority: string,
  dropTimeout: boolean,
): Head {
  const out = new Set(remove ?? []);
  if (dropTimeout) out.add("grpc-timeout");
  const fields: string[] = [];
  for (let i = 0; i < request.fields.length; i += 2) {
    if (!out.has(request.fields[i])) fields.push(request.fields[i], request.fields[i + 1]);
  }
  if (add !== null) fields.push(...add);
  return new Head(
    request.method,
    request.scheme,
    authority === "" ? request.authority : authority,
    path === "" ? request.path : path,
    request.protocol,
    0,
    fields,
  );
}
