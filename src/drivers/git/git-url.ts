import { DriverUrl } from "../driver-url.ts";

/** Which line of commits holds revisions. */
export interface GitTarget {
  /** Absolute path of the repository. */
  readonly folder: string;
  readonly branch: string;
  /** Name of a remote of that repository, whose branch it is then; "": the repository's own branch. */
  readonly remote: string;
}

/** "git:///srv/shop.git?branch=main&remote=origin": the branch is "main" unless said. Throws `invalid_argument`. */
export function parseGitUrl(text: string): GitTarget {
  const shape = { scheme: "git", vendor: "a Git repository", looks: LOOKS, parameters: ["branch", "remote"] };
  const url = new DriverUrl(text, shape);
  const folder = url.decoded(url.path);
  if (folder === "" || url.hosts !== "" || url.login !== null)
    throw url.bad(`it looks like ${LOOKS}, with an absolute path`);
  if (folder.includes("\0")) throw url.bad("its path has a character that no path has");
  const nameOf = (parameter: string, otherwise: string): string => {
    const name = url.parameter(parameter) ?? otherwise;
    const isName = NAME.test(name) && !name.includes("..") && !name.includes("//") && !/(?:\/|\.|\.lock)$/.test(name);
    if (name !== "" && !isName) throw url.bad(`${parameter} is a name such as main`);
    return name;
  };
  return { folder, branch: nameOf("branch", "main"), remote: nameOf("remote", "") };
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const LOOKS = '"git:///srv/shop.git?branch=main"';
