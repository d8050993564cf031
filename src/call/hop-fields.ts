/** Written with "_" a field is the same to many servers. */
export function plainName(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}

/**
 * Fields by which proxies tell where a request comes from and what it was (RFC 7239, x-forwarded-*, and those that put another path in the place of the request's,
 * past the rules for it): services believe them, so callers may not write them.
 */
export function isForwarding(plain: string): boolean {
  return plain.startsWith("x-forwarded-") || OTHERS.has(plain);
}

const OTHERS: ReadonlySet<string> = new Set(["forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"]);
