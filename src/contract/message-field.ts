/**
 * A field of a message as text, by its path of names as in the .proto ("order.customer_id"; JSON names do, too). Undefined when there is no such field, it is
 * not set, or it is nothing that has one text (a message, a list, bytes).
 */
export function messageField(message: unknown, path: string): string | undefined {
  let value: unknown = message;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = member(value as Record<string, unknown>, localName(name));
  }
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      return undefined;
  }
}

/** A field, which may be the chosen one of a oneof. */
function member(message: Record<string, unknown>, name: string): unknown {
  if (Object.hasOwn(message, name)) return message[name];
  for (const value of Object.values(message)) {
    if (typeof value !== "object" || value === null) continue;
    const oneof = value as { case?: unknown; value?: unknown };
    if (oneof.case === name) return oneof.value;
  }
  return undefined;
}

/** As protobuf-es names fields in objects. */
function localName(name: string): string {
  return name.replace(/_+([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());
}
