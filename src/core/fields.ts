/** Header fields as weft has them: flat [name, value, ...], names in lower case. */

/** The first value of a field; undefined without one. `name` is lower-case. */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}

/** The value of the first cookie of that name; undefined without one. HTTP/2 may part the cookie field into several (RFC 9113 section 8.2.3). */
export function cookieOf(fields: readonly string[], name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "cookie") continue;
    const value = cookieIn(fields[i + 1], name);
    if (value !== undefined) return value;
  }
  return undefined;
}

function cookieIn(field: string, name: string): string | undefined {
  for (let at = 0; at < field.length; ) {
    let end = field.indexOf(";", at);
    if (end < 0) end = field.length;
    while (field[at] === " ") at++;
    if (field.startsWith(name, at) && field[at + name.length] === "=")
      return field.slice(at + name.length + 1, end).trim();
    at = end + 1;
  }
  return undefined;
}
