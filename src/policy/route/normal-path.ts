/**
 * A path (without its query) as RFC 3986 section 6.2.2 says that it is the same as others, so that routes, rules, limits and REST see one path for all its
 * spellings: percent-encoded unreserved characters are decoded, "." and ".." segments resolved (so that "/public/../admin" is decided by what holds for
 * "/admin"), and repeated slashes merged, as nearly every server does (Envoy's normalize_path and merge_slashes). Nearly every path is returned as it is.
 */
export function normalPath(path: string): string {
  if (!path.includes("/.") && !path.includes("%") && !path.includes("//")) return path;
  const plain = path
    .replace(ENCODED, (all, hex) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16));
      return UNRESERVED.test(char) ? char : all;
    })
    .replace(/\/{2,}/g, "/");
  if (!DOT_SEGMENT.test(plain)) return plain;
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

const ENCODED = /%([2-7][0-9A-Fa-f])/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;
const DOT_SEGMENT = /\/\.{1,2}(\/|$)/;
