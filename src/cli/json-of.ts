/** What --json prints: messages without what they say of their own type, 64-bit numbers as numbers. `indent` 0: on a line of its own. */
export function jsonOf(value: unknown, indent = 2): string {
  const plain = (key: string, one: unknown): unknown =>
    key === "$typeName" || key === "$unknown" ? undefined : typeof one === "bigint" ? Number(one) : one;
  return `${JSON.stringify(value, plain, indent)}\n`;
}
