import { normalPath } from "../route/normal-path.ts";

/** A path as rules see it: `strict` is what RFC 3986 section 6.2.2 says it is, `loose` what a lenient server may take it for. The same for nearly all. */
export interface PathForms {
  readonly strict: string;
  readonly loose: string;
}

/**
 * The path without its query, with "." and ".." resolved, percent-encoded unreserved characters decoded and repeated slashes merged. What servers read
 * differently (%2F, %5C, backslash, a parameter after ";", a second layer of encoding) gives a second form: an allow rule must match both, for a deny rule either
 * suffices. (Envoy's path_with_escaped_slashes_action and merge_slashes are about the same.)
 */
export function pathForms(path: string): PathForms {
  const mark = path.indexOf("?");
  const bare = mark < 0 ? path : path.slice(0, mark);
  if (!SPECIAL.test(bare)) return plain(bare);
  const strict = normalPath(bare);
  const loose = looseForm(strict);
  return { strict, loose };
}

function plain(path: string): PathForms {
  return { strict: path, loose: path };
}

function looseForm(path: string): string {
  let text = path;
  for (let layer = 0; layer < 2; layer++) {
    text = text.replace(ENCODED, (all, hex) => {
      const code = Number.parseInt(hex, 16);
      return code < 0x20 || code > 0x7e ? all : String.fromCharCode(code);
    });
  }
  text = text.replace(/\\/g, "/").replace(/;[^/]*/g, "");
  return normalPath(merged(text)) || "/";
}

function merged(path: string): string {
  return path.replace(/\/{2,}/g, "/");
}

const SPECIAL = /[%\\;]|\/\/|\/\./;
const ENCODED = /%([0-9A-Fa-f]{2})/g;
