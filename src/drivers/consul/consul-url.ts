import { WeftError } from "../../core/errors.ts";

/** Where a Consul is and how to speak with it. */
export interface ConsulTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** What all keys begin with, without slashes at its ends: "weft". */
  readonly prefix: string;
  /** "": none. */
  readonly token: string;
  /** "": the agent's own. */
  readonly datacenter: string;
  /** Files of PEM; null: plain text. "" for what is not given. */
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverName: string;
  } | null;
}

/**
 * "consul://TOKEN@HOST:8500/PREFIX?dc=dc1&ca=ca.pem": the address of an agent (port 8500 unless said, 8501 for TLS), a prefix of keys (default "weft"), and as
 * parameters `dc`, `tls=true` (authorities of the system), `ca`, `cert` and `key` (PEM files), `serverName`; any but the first means TLS. Throws `invalid_argument`, which
 * never repeats the url: it may hold a token.
 */
export function parseConsulUrl(url: string): ConsulTarget {
  const match = /^consul:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}`);
  const [, token, address, path = "", query = ""] = match;
  const prefix = path.replace(/^\/|\/+$/g, "");
  if (prefix !== "" && !prefix.split("/").every((part) => PART.test(part)))
    throw bad("the prefix of keys has letters, digits and any of . _ - between slashes");
  const { datacenter, tls } = parametersOf(query);
  return {
    ...addressOf(address, tls === null ? 8_500 : 8_501),
    prefix: prefix === "" ? "weft" : prefix,
    token: token === undefined ? "" : tokenOf(token),
    datacenter,
    tls,
  };
}

function addressOf(text: string, defaultPort: number): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  if (match === null || port < 1 || port > 65_535)
    throw bad("the address is HOST, HOST:PORT or [IPV6]:PORT, of one agent (which knows the servers)");
  return { host: match[1] ?? match[2], port };
}

function tokenOf(text: string): string {
  let token: string;
  try {
    token = decodeURIComponent(text);
  } catch {
    throw bad('the token has a "%" that is not followed by two hexadecimal digits; write %25');
  }
  if (!/^[\x21-\x7e]{1,256}$/.test(token)) throw bad("before the @ belongs an ACL token (its SecretID)");
  return token;
}

function parametersOf(query: string): Pick<ConsulTarget, "datacenter" | "tls"> {
  const tls = { ca: "", cert: "", key: "", serverName: "" };
  let datacenter = "";
  let wanted = false;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "dc") {
      if (!/^[A-Za-z0-9_-]{1,128}$/.test(value)) throw bad("dc is the name of a datacenter");
      datacenter = value;
      continue;
    }
    if (name === "tls") {
      if (value !== "true") throw bad("tls is true or is left out");
    } else if (name === "ca" || name === "cert" || name === "key" || name === "serverName") {
      if (value === "") throw bad(`${name} is empty`);
      tls[name] = value;
    } else throw bad("its parameters are dc, tls, ca, cert, key and serverName");
    wanted = true;
  }
  if ((tls.cert === "") !== (tls.key === "")) throw bad("cert and key belong together");
  return { datacenter, tls: wanted ? tls : null };
}

function bad(what: string): WeftError {
  return new WeftError("invalid_argument", `the url of Consul cannot be used: ${what}`, { reason: "BAD_ADDRESS" });
}

const PART = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;
const LOOKS = '"consul://127.0.0.1:8500" or "consul://token@127.0.0.1:8501/prefix?ca=ca.pem"';
const MAX_URL = 4_096;
