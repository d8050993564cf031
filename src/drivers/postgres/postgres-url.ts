import { WeftError } from "../../core/errors.ts";

/** Where a PostgreSQL is and how to speak with it. */
export interface PostgresTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** "": none is given. */
  readonly password: string;
  readonly database: string;
  /** Of weft's tables and functions. */
  readonly schema: string;
  /** Files of PEM; null: plain text. "" for what is not given. */
  readonly tls: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverName: string;
  } | null;
}

/**
 * "postgres://user:password@host:5432/DATABASE?schema=weft&ca=ca.pem": the port is 5432 unless said; parameters are `schema` (default "weft"), `tls=true` (authorities of the
 * system), `ca`, `cert` and `key` (PEM files), `serverName`; any of the last five means TLS. Throws `invalid_argument`, which never repeats the url: it may hold a password.
 */
export function parsePostgresUrl(url: string): PostgresTarget {
  const match = /^postgres:\/\/([^@/?#]*)@([^@/?#]+)\/([^?#]*)(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}`);
  const [, login, address, database, query = ""] = match;
  const at = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(address);
  const port = Number(at?.[2] ?? "5432");
  if (at === null || port < 1 || port > 65_535)
    throw bad("after the @ belongs HOST, HOST:PORT or [IPV6]:PORT, one of them");
  const name = decoded(database, "database");
  if (name === "" || name.length > 63)
    throw bad("behind the host belongs the name of a database, of at most 63 characters");
  return {
    host: at[1].replace(/^\[|\]$/g, ""),
    port,
    ...loginOf(login),
    database: name,
    ...parametersOf(query),
  };
}

function loginOf(text: string): Pick<PostgresTarget, "user" | "password"> {
  const at = text.indexOf(":");
  const user = decoded(at < 0 ? text : text.slice(0, at), "user");
  if (user === "") throw bad("before the @ belongs USER or USER:PASSWORD");
  return { user, password: at < 0 ? "" : decoded(text.slice(at + 1), "password") };
}

function parametersOf(query: string): Pick<PostgresTarget, "schema" | "tls"> {
  const tls = { ca: "", cert: "", key: "", serverName: "" };
  let schema = "weft";
  let wanted = false;
  for (const [name, value] of new URLSearchParams(query)) {
    if (value === "") throw bad("a parameter is empty");
    if (name === "schema") {
      if (!/^[a-z_][a-z0-9_]{0,39}$/.test(value)) throw bad("schema has lower-case letters, digits and underscores");
      schema = value;
      continue;
    }
    if (name === "tls") {
      if (value !== "true") throw bad("tls is true or is left out");
    } else if (name === "ca" || name === "cert" || name === "key" || name === "serverName") tls[name] = value;
    else throw bad("its parameters are schema, tls, ca, cert, key and serverName");
    wanted = true;
  }
  if ((tls.cert === "") !== (tls.key === "")) throw bad("cert and key belong together");
  return { schema, tls: wanted ? tls : null };
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw bad(`the ${what} has a "%" that is not followed by two hexadecimal digits; write %25`);
  }
}

function bad(what: string): WeftError {
  return new WeftError("invalid_argument", `the url of PostgreSQL cannot be used: ${what}`, { reason: "BAD_ADDRESS" });
}

const LOOKS = '"postgres://user:password@127.0.0.1:5432/database"';
const MAX_URL = 4_096;
