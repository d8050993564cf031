import { WeftError } from "../../core/errors.ts";

/** Where a ZooKeeper is and how to speak with it. */
export interface ZookeeperTarget {
  /** "10.0.0.1:2181", in the order in which they are written. */
  readonly addresses: readonly string[];
  /** What all paths begin with: "/weft". */
  readonly prefix: string;
  /** Scheme "digest": what it makes nobody else may read or write. Null: anybody may. */
  readonly login: { readonly name: string; readonly password: string } | null;
  /** Files of PEM; null: plain text. "" for what is not given. */
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverName: string;
  } | null;
}

/**
 * "zookeeper://user:password@h1:2181,h2:2181/PREFIX?ca=ca.pem": one or more servers (port 2181 unless said), a prefix of paths (default "weft"), and as parameters `tls=true` (authorities
 * of the system), `ca`, `cert` and `key` (PEM files), `serverName`; any of them means TLS. Throws `invalid_argument`, which never repeats the url: it may hold a password.
 */
export function parseZookeeperUrl(url: string): ZookeeperTarget {
  const match = /^zookeeper:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}`);
  const [, login, hosts, path = "", query = ""] = match;
  const prefix = path.replace(/\/+$/, "");
  if (!/^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/.test(prefix))
    throw bad("the prefix of paths has letters, digits and any of . _ - between slashes");
  if (/^\/zookeeper(?:\/|$)/.test(prefix)) throw bad("paths below /zookeeper are its own; choose another prefix");
  const addresses = hosts.split(",").map(addressOf);
  if (addresses.length > MAX_ADDRESSES) throw bad(`at most ${MAX_ADDRESSES} servers are allowed`);
  return {
    addresses,
    prefix: prefix === "" ? "/weft" : prefix,
    login: login === undefined ? null : loginOf(login),
    tls: tlsOf(query),
  };
}

function addressOf(text: string): string {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? "2181");
  if (match === null || port < 1 || port > 65_535)
    throw bad("each server is HOST, HOST:PORT or [IPV6]:PORT, with commas between them");
  return `${match[1]}:${port}`;
}

function loginOf(text: string): ZookeeperTarget["login"] {
  const at = text.indexOf(":");
  if (at < 1) throw bad("before the @ belongs USER:PASSWORD");
  let name: string;
  let password: string;
  try {
    name = decodeURIComponent(text.slice(0, at));
    password = decodeURIComponent(text.slice(at + 1));
  } catch {
    throw bad('user or password has a "%" that is not followed by two hexadecimal digits; write %25');
  }
  if (name.includes(":")) throw bad("a user's name has no colon");
  return { name, password };
}

function tlsOf(query: string): ZookeeperTarget["tls"] {
  const tls = { ca: "", cert: "", key: "", serverName: "" };
  let wanted = false;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "tls") {
      if (value !== "true") throw bad("tls is true or is left out");
    } else if (name === "ca" || name === "cert" || name === "key" || name === "serverName") {
      if (value === "") throw bad(`${name} is empty`);
      tls[name] = value;
    } else throw bad("its parameters are tls, ca, cert, key and serverName");
    wanted = true;
  }
  if ((tls.cert === "") !== (tls.key === "")) throw bad("cert and key belong together");
  return wanted ? tls : null;
}

function bad(what: string): WeftError {
  return new WeftError("invalid_argument", `the url of ZooKeeper cannot be used: ${what}`, { reason: "BAD_ADDRESS" });
}

const LOOKS = '"zookeeper://127.0.0.1:2181" or "zookeeper://user:password@h1:2181,h2:2181/prefix?ca=ca.pem"';
const MAX_URL = 4_096;
const MAX_ADDRESSES = 16;
