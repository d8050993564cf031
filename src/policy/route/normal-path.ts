/**
 * A path (without its query) as servers understand it: "." and ".." segments resolved, also where the dots are percent-encoded (RFC 3986
 * section 6.2.2). Routes are matched on it, so that "/public/../admin" is decided by what holds for "/admin". Nearly every path is returned as it is.
 */
export function normalPath(path: string): string {
  if (!path.includes("/.") && !path.includes("%2")) return path;
  const plain = path.replace(/%2e/gi, ".");
  if (!DOT_SEGMENT.test(plain)) return path;
  const segments: string[] = [];
  const parts = plain.split("/");
  parts.forEach((part, i) => {
    const last = i === parts.length - 1;
    if (part === "..") {
      if (segments.length > 1) segments.pop();
      if (last) segments.push("");
    } else if (part === ".") {
      if (last) segments.push("");
    } else segments.push(part);
  });
  return segments.length === 1 ? "/" : segments.join("/");
}

const DOT_SEGMENT = /\/\.{1,2}(\/|$)/;
