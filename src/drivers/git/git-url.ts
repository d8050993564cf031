import { WeftError } from "../../core/errors.ts";

/** Which line of commits holds revisions. */
export interface GitTarget {
  /** Absolute path of the repository. */
  readonly folder: string;
  readonly branch: string;
  /** Name of a remote of that repository, whose branch it is then; "": the repository's own branch. */
  readonly remote: string;
}

/** "git:///srv/shop.git?branch=main&remote=origin". Throws `invalid_argument`. */
export function parseGitUrl(url: string): GitTarget {
  const match = /^git:\/\/(\/[^?#]*)(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}, with an absolute path`);
  const target = { folder: "", branch: "main", remote: "" };
  try {
    target.folder = decodeURIComponent(match[1]);
  } catch {
    throw bad('its path has a "%" that is not followed by two hexadecimal digits; write %25');
  }
  if (target.folder.includes("\0")) throw bad("its path has a character that no path has");
  for (const [name, value] of new URLSearchParams(match[2] ?? "")) {
    if (name !== "branch" && name !== "remote") throw bad("its parameters are branch and remote");
    if (!NAME.test(value) || value.includes("..") || value.includes("//") || /(?:\/|\.|\.lock)$/.test(value))
      throw bad(`${name} is a name such as main`);
    target[name] = value;
  }
  return target;
}

function bad(what: string): WeftError {
  return new WeftError("invalid_argument", `the url of a Git repository cannot be used: ${what}`, {
    reason: "BAD_ADDRESS",
  });
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const LOOKS = '"git:///srv/shop.git?branch=main"';
const MAX_URL = 4_096;
