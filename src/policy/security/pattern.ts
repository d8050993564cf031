/** A text with "*" for any run of characters. */
export interface TextPattern {
  readonly text: string;
  test(value: string): boolean;
}

/** Compiled to a comparison where it has no "*", or one at an end; otherwise matched in time linear in value x stars. Never a regular expression. */
export function textPattern(text: string): TextPattern {
  const first = text.indexOf("*");
  if (first < 0) return { text, test: (value) => value === text };
  if (text === "*") return { text, test: (value) => value !== "" };
  if (first === text.length - 1) {
    const prefix = text.slice(0, -1);
    return { text, test: (value) => value.startsWith(prefix) };
  }
  if (first === 0 && text.indexOf("*", 1) < 0) {
    const suffix = text.slice(1);
    return { text, test: (value) => value.endsWith(suffix) };
  }
  const parts = text.split("*");
  return { text, test: (value) => matchesParts(parts, value) };
}

/** The first part begins the value, the last ends it, those between come in order, each at its first place. */
function matchesParts(parts: readonly string[], value: string): boolean {
  const last = parts[parts.length - 1];
  if (!value.startsWith(parts[0]) || !value.endsWith(last)) return false;
  let at = parts[0].length;
  const end = value.length - last.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const found = value.indexOf(parts[i], at);
    if (found < 0 || found + parts[i].length > end) return false;
    at = found + parts[i].length;
  }
  return at <= end;
}

/** A path pattern: as textPattern, and "/v1/*" also matches "/v1". */
export function pathPattern(text: string): TextPattern {
  const pattern = textPattern(text);
  if (!text.endsWith("/*") || text.indexOf("*") !== text.length - 1 || text === "/*") return pattern;
  const itself = text.slice(0, -2);
  const prefix = text.slice(0, -1);
  return { text, test: (value) => value.startsWith(prefix) || value === itself };
}

/** A host pattern: "*.shop.example" matches every host below it; case and port do not matter. */
export function hostPattern(text: string): TextPattern {
  const { test } = textPattern(text.toLowerCase());
  return { text, test };
}
