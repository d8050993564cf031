import type { DescMethod, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { printable } from "../../core/printable.ts";

/** Whether a method changes something. */
export function isChange({ idempotency }: DescMethod): boolean {
  return idempotency !== Idempotency.NO_SIDE_EFFECTS;
}

/** What a request is about, for people: "service deployer, role publisher". Never a resource, a value or a token. */
export function aboutOf(message: object): string {
  const { endpoint = {} } = message as { endpoint?: object };
  const fields = { ...endpoint, ...message } as Record<string, unknown>;
  const parts: string[] = [];
  for (const name of TOLD) {
    const value = fields[name];
    if (name === "role" && typeof value === "number") parts.push(`role ${ROLES[value] ?? "none"}`);
    else if (typeof value === "string" && value !== "") parts.push(`${name} ${value}`);
    else if (typeof value === "bigint" && value !== 0n) parts.push(`${name} ${value}`);
  }
  return printable(parts.join(", ").replace(SECRET, "$1..."), MAX_LENGTH);
}

/** Of what came of it; 0: none. */
export function revisionOf(answer: object): number {
  const { revision } = answer as { revision?: unknown };
  return typeof revision === "bigint" ? Number(revision) : 0;
}

/** Only says what would be wrong. */
export function isTrial(message: Message | object): boolean {
  return (message as { validateOnly?: unknown }).validateOnly === true;
}

const TOLD = ["service", "namespace", "name", "id", "role", "revision", "author", "reason"] as const;
/** By number of AccessRole. */
const ROLES: readonly string[] = ["none", "reader", "publisher", "operator"];
const MAX_LENGTH = 512;
/** Somebody gave a token where its id was asked for. */
const SECRET = /(weft-admin-[0-9a-f]{12})\.[\w-]+/g;
