import type { Endpoint } from "../../core/endpoint.ts";
import type { CheckDefinition } from "./check-definition.ts";

/** Metadata of an endpoint that was registered by Consul's API: what of its registration has no other place. */
export const MARK_METADATA = "weft.consul";

export interface Mark {
  readonly serviceId: string;
  /** Node of the catalog that it was registered for; "" for the agent's own. */
  readonly node: string;
  readonly checks: readonly CheckDefinition[];
}

/** As it is kept in metadata. */
export function encodeMark({ serviceId, node, checks }: Mark): string {
  return JSON.stringify({
    id: serviceId,
    ...(node !== "" && { node }),
    ...(checks.length > 0 && {
      checks: checks.map(({ id, name, kind, ttlMs, reapMs, notes }) => [
        id,
        name,
        kind,
        ttlMs ?? 0,
        reapMs ?? 0,
        notes ?? "",
      ]),
    }),
  });
}

/** Null for an endpoint that was registered otherwise, or whose mark somebody else wrote. */
export function markOf(endpoint: Endpoint): Mark | null {
  const text = endpoint.metadata[MARK_METADATA];
  if (text === undefined) return null;
  try {
    const { id, node = "", checks = [] } = JSON.parse(text);
    if (typeof id !== "string" || typeof node !== "string" || !Array.isArray(checks)) return null;
    return { serviceId: id, node, checks: checks.map(definitionOf) };
  } catch {
    return null;
  }
}

function definitionOf(value: unknown): CheckDefinition {
  const [id, name, kind, ttlMs, reapMs, notes] = value as [
    string,
    string,
    CheckDefinition["kind"],
    number,
    number,
    string,
  ];
  if (typeof id !== "string" || typeof name !== "string" || !KINDS.has(kind)) throw new TypeError("no check");
  return {
    id,
    name,
    kind,
    ...(ttlMs > 0 && { ttlMs }),
    ...(reapMs > 0 && { reapMs }),
    ...(notes !== "" && typeof notes === "string" && { notes }),
  };
}

const KINDS: ReadonlySet<string> = new Set(["ttl", "http", "tcp", "grpc"]);
